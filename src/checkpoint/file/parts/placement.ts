import { byteSizeOf } from "../../../base/dtype.ts";
import { CairnError } from "../../../base/errors.ts";
import type { ContainerReader } from "../../../container/read/container_reader.ts";
import type { RawRange } from "../../../container/write/join_containers.ts";
import type { TensorRecord } from "../../../container/format/layout.ts";
import type { RowShard } from "../../../container/format/part_list.ts";
import { isHostTensorName } from "../../capture/host_state.ts";
import type { OpenPart } from "./checkpoint_files.ts";
import { byRows, flawInRows } from "./rows_once.ts";

/** A tensor, and the file that it is in. */
export interface PlacedTensor {
  readonly reader: ContainerReader;
  readonly record: TensorRecord;
}

/** A part of a tensor along its first dimension. */
export interface PlacedShard extends PlacedTensor {
  readonly shard: RowShard;
}

/** Where a tensor of a checkpoint is: for everybody, cut among the ranks, or only of some ranks. */
export type Placement =
  | { readonly kind: "shared"; readonly isReplicated: boolean; readonly tensor: PlacedTensor }
  | { readonly kind: "sharded"; readonly rows: number; readonly shards: readonly PlacedShard[] }
  | { readonly kind: "private"; readonly byRank: ReadonlyMap<number, PlacedTensor> };

/**
 * Where each tensor of a checkpoint is, by name: part by part, in the order of the files, and then the index's. A
 * tied tensor is where the one is that holds its bytes.
 *
 * @param index None, to look at parts that no index names yet.
 * @throws CairnError `invalid_container` for a tensor that is in two places, or whose shards do not give all of its
 * rows once.
 */
export function placementsOf(
  parts: readonly OpenPart[],
  index?: ContainerReader,
): Map<string, Placement> {
  const placements = new Map<string, Placement>();
  for (const { record: part, reader } of parts) {
    const role = reader.manifest.part;
    const replicated = new Set(role?.replicated);
    const sharded = new Map(Object.entries(role?.sharded ?? {}));
    for (const record of reader.tensors) {
      const root = record.aliasOf ?? record.name;
      const tensor = { reader, record };
      const shard = sharded.get(root);
      if (part.rank === undefined) put(placements, { kind: "shared", isReplicated: false, tensor });
      else if (shard !== undefined) putShard(placements, { ...tensor, shard });
      else if (replicated.has(root)) put(placements, { kind: "shared", isReplicated: true, tensor });
      else putPrivate(placements, part.rank, tensor);
    }
  }
  const isOfRanks = index?.manifest.parts?.worldSize !== undefined;
  for (const tensor of index?.tensors.map((record) => ({ reader: index, record })) ?? []) {
    if (isOfRanks) putPrivate(placements, 0, tensor);
    else put(placements, { kind: "shared", isReplicated: false, tensor });
  }
  for (const [name, placement] of placements) requireAllRows(name, placement, placements);
  return placements;
}

/** The bytes of the rows from `start` to `end` of a tensor that is there as a whole. */
export function rowsOf({ reader, record }: PlacedTensor, start: number, end: number): RawRange {
  const rowBytes = bytesOfRow(record);
  return { reader, rawOffset: record.rawOffset + start * rowBytes, byteLength: (end - start) * rowBytes };
}

/** The bytes of the rows from `start` to `end` of a tensor that is cut. */
export function rowsOfShards(shards: readonly PlacedShard[], start: number, end: number): RawRange[] {
  return shards.flatMap((placed) => {
    const from = Math.max(start, placed.shard.start);
    const to = Math.min(end, placed.shard.end);
    return from < to ? [rowsOf(placed, from - placed.shard.start, to - placed.shard.start)] : [];
  });
}

function bytesOfRow({ dtype, shape }: TensorRecord): number {
  return shape.slice(1).reduce((product, size) => product * size, byteSizeOf(dtype));
}

function put(placements: Map<string, Placement>, placement: Placement & { kind: "shared" }): void {
  const { name } = placement.tensor.record;
  if (placements.has(name)) throw invalid(name, "is in two of its files");
  placements.set(name, placement);
}

function putPrivate(placements: Map<string, Placement>, rank: number, tensor: PlacedTensor): void {
  const { name } = tensor.record;
  const found = placements.get(name);
  if (found !== undefined && found.kind !== "private") {
    throw invalid(name, "is a rank's own tensor and also in another file");
  }
  if (found?.byRank.has(rank)) throw invalid(name, `is in two files of rank ${rank}`);
  placements.set(name, { kind: "private", byRank: new Map([...found?.byRank ?? [], [rank, tensor]]) });
}

function putShard(placements: Map<string, Placement>, placed: PlacedShard): void {
  const { record: { name, shape, dtype }, shard } = placed;
  const found = placements.get(name);
  if (found !== undefined && found.kind !== "sharded") {
    throw invalid(name, "is cut among ranks and also whole");
  }
  const first = found?.shards[0];
  const isAlike = first === undefined ||
    (first.record.dtype === dtype && first.shard.rows === shard.rows &&
      first.record.shape.slice(1).join() === shape.slice(1).join());
  if (!isAlike) throw invalid(name, "has shards of different forms");
  if (shape[0] !== shard.end - shard.start) {
    throw invalid(name, `has a shard of ${shape[0]} rows, expected ${shard.end - shard.start}`);
  }
  const shards = [...found?.shards ?? [], placed].sort((a, b) => byRows(a.shard, b.shard));
  placements.set(name, { kind: "sharded", rows: shard.rows, shards });
}

function requireAllRows(
  name: string,
  placement: Placement,
  placements: ReadonlyMap<string, Placement>,
): void {
  if (placement.kind !== "sharded") return;
  const flaw = flawInRows(placement.shards.map(({ shard }) => shard), placement.rows);
  if (flaw !== undefined) {
    const rows = `the rows ${flaw.start} to ${flaw.end}`;
    throw invalid(name, flaw.kind === "missing" ? `lacks ${rows}` : `has ${rows} twice`);
  }
  const root = placement.shards[0]?.record.aliasOf;
  if (root !== undefined && !placements.has(root)) throw invalid(name, `shares the bytes of "${root}"`);
}

/** Whether it is a tensor of a store, and not of a rank's host state. */
export function isStoreTensor(name: string): boolean {
  return !isHostTensorName(name);
}

function invalid(name: string, problem: string): CairnError {
  return new CairnError("invalid_container", `The tensor "${name}" ${problem}`, {
    details: { tensor: name },
  });
}
