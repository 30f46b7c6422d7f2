import type { OptionNames } from "../../../base/options/options.ts";
import { CairnError } from "../../../base/errors.ts";
import type { ContainerReader } from "../../../container/read/container_reader.ts";
import {
  joinContainers,
  type JoinedContents,
  type JoinedTensor,
} from "../../../container/write/join_containers.ts";
import type { TensorRecord } from "../../../container/format/layout.ts";
import type { Manifest } from "../../../container/format/manifest.ts";
import type { RowShard } from "../../../container/format/part_list.ts";
import type { CheckpointFiles } from "./checkpoint_files.ts";
import {
  isStoreTensor,
  type PlacedTensor,
  type Placement,
  placementsOf,
  rowsOf,
  rowsOfShards,
} from "./placement.ts";

/** Who looks at a checkpoint. */
export interface RankView {
  /** This process among those that load it together. Default 0. */
  readonly rank?: number;
  /** How many load it together. Default one more than `rank`. */
  readonly worldSize?: number;
  /** Which rows this rank has of the tensors that are cut among the ranks; all of them unless given. */
  readonly sharded?: Readonly<Record<string, RowShard>>;
}

/** Every option of {@link RankView}. */
export const RANK_VIEW: OptionNames<RankView> = { rank: true, worldSize: true, sharded: true };

/** How the tensors that ranks saved become those of other ranks. */
export interface PlacementReport {
  /** How many ranks saved it; `undefined` when it was saved without ranks, and then everything is for everybody. */
  readonly savedWorldSize: number | undefined;
  /** How many ranks there are now. */
  readonly worldSize: number;
  /** Which of them this is, from 0. */
  readonly rank: number;
  /** Tensors that all ranks had alike. */
  readonly replicated: readonly string[];
  /** Tensors that were cut among ranks or are now, with the rows that this one gets. */
  readonly sharded: Readonly<Record<string, RowShard>>;
  /** Tensors that only this rank had. */
  readonly private: readonly string[];
  /** Tensors that only other ranks had, which is where they stay: those that no rank of now takes. */
  readonly leftBehind: readonly { readonly rank: number; readonly tensors: readonly string[] }[];
  /** Whether the state beside the tensors is this rank's own. `false` for a rank that did not save. */
  readonly hasState: boolean;
}

/** A checkpoint as one rank sees it: one container, whichever files it is in. */
export interface JoinedView {
  readonly reader: ContainerReader;
  readonly report: PlacementReport;
  /** For tensors that this rank does not have: the ranks that do. */
  readonly elsewhere: ReadonlyMap<string, readonly number[]>;
}

/**
 * Puts the files of a checkpoint together for a rank. What is replicated, or was saved without ranks, is for
 * everybody; what is cut is put together again, or cut anew where the view says so; what was a rank's own is for the
 * rank of the same number.
 *
 * @throws RangeError for an invalid rank; CairnError `state_mismatch` for rows that do not fit,
 * `invalid_container`.
 */
export function joinForRank(files: CheckpointFiles, view: RankView = {}): JoinedView {
  const { rank, worldSize, sharded } = checkedView(view);
  if (files.parts.length === 0 && sharded.size === 0) return plainView(files, { rank, worldSize });
  const placements = placementsOf(files.parts, files.index);
  const tensors = new Map<string, JoinedTensor>();
  const shards: Record<string, RowShard> = {};
  for (const [name, placement] of placements) {
    const shard = sharded.get(rootOf(name, placement, rank));
    const found = joinedTensor(name, placement, shard, rank);
    if (found === undefined) continue;
    const { tensor } = found;
    const target = tensor.aliasOf;
    tensors.set(name, target !== undefined && !tensors.has(target) ? withoutAlias(tensor) : tensor);
    if (found.shard !== undefined) shards[name] = found.shard;
  }
  return {
    reader: joined({
      fileId: files.index.fileId,
      manifest: manifestFor(files, rank),
      tensors: [...tensors.values()],
      files: [
        ...files.parts.map(({ record, reader }) => ({ label: `part "${record.name}"`, reader })),
        { label: "the index", reader: files.index },
      ],
      close: () => files.close(),
    }),
    report: reportOf(files, placements, { rank, worldSize }, shards),
    elsewhere: elsewhereOf(placements, rank),
  };
}

/** The files as one. What they say of themselves may not go together, however sound each of them is. */
function joined(contents: JoinedContents): ContainerReader {
  try {
    return joinContainers(contents);
  } catch (cause) {
    if (!(cause instanceof TypeError || cause instanceof RangeError)) throw cause;
    throw new CairnError("invalid_container", `Its files do not belong together: ${cause.message}`, {
      cause,
    });
  }
}

/** The tensor that holds the bytes of one. */
function rootOf(name: string, placement: Placement, rank: number): string {
  const placed = placement.kind === "shared"
    ? placement.tensor
    : placement.kind === "sharded"
    ? placement.shards[0]
    : placement.byRank.get(rank);
  return placed?.record.aliasOf ?? name;
}

/** One file, in which everything is for everybody: there is nothing to put together. */
function plainView(
  { index }: CheckpointFiles,
  who: Required<Pick<RankView, "rank" | "worldSize">>,
): JoinedView {
  const report: PlacementReport = {
    savedWorldSize: undefined,
    ...who,
    replicated: [],
    sharded: {},
    private: [],
    leftBehind: [],
    hasState: true,
  };
  return { reader: index, report, elsewhere: new Map() };
}

function checkedView({ rank = 0, worldSize = rank + 1, sharded = {} }: RankView): {
  rank: number;
  worldSize: number;
  sharded: ReadonlyMap<string, RowShard>;
} {
  checkRank(rank, worldSize);
  for (const [name, shard] of Object.entries(sharded)) checkShard(name, shard);
  return { rank, worldSize, sharded: new Map(Object.entries(sharded)) };
}

/** @throws RangeError unless `rank` is one of `worldSize`. */
export function checkRank(rank: number, worldSize: number): void {
  const isRank = Number.isSafeInteger(worldSize) && worldSize >= 1 && Number.isSafeInteger(rank) &&
    rank >= 0 && rank < worldSize;
  if (!isRank) throw new RangeError(`Rank ${rank} of ${worldSize}: expected 0 to ${worldSize - 1}`);
}

/** @throws RangeError unless it is a range of rows. */
export function checkShard(name: string, { start, end, rows }: RowShard): void {
  const isRange = [start, end, rows].every(Number.isSafeInteger) && 0 <= start && start <= end && end <= rows;
  if (!isRange) {
    throw new RangeError(`Rows ${start} to ${end} of "${name}" are no range within ${rows} rows`);
  }
}

/**
 * The rows of one rank when `rows` are cut as evenly as can be: the first ranks have one more.
 *
 * @throws RangeError for an invalid rank.
 */
export function rowsOfRank(rows: number, rank: number, worldSize: number): RowShard {
  checkRank(rank, worldSize);
  const least = Math.floor(rows / worldSize);
  const more = rows % worldSize;
  const start = rank * least + Math.min(rank, more);
  return { start, end: start + least + (rank < more ? 1 : 0), rows };
}

/** The tensor for a rank; `undefined` where it has none of this name. */
function joinedTensor(
  name: string,
  placement: Placement,
  shard: RowShard | undefined,
  rank: number,
): { tensor: JoinedTensor; shard?: RowShard } | undefined {
  if (placement.kind === "sharded") {
    const { rows, shards } = placement;
    const record = shards[0]?.record as TensorRecord;
    const taken = fitting(name, shard, rows) ?? { start: 0, end: rows, rows };
    const ranges = rowsOfShards(shards, taken.start, taken.end);
    return { tensor: { ...specOf(record, taken), ranges }, shard: taken };
  }
  const placed = placement.kind === "shared" ? placement.tensor : placement.byRank.get(rank);
  if (placed === undefined) return undefined;
  if (shard === undefined) return { tensor: { ...specOf(placed.record), ranges: [rangeOf(placed)] } };
  if (placement.kind === "private") {
    throw new CairnError(
      "state_mismatch",
      `Cannot cut "${name}" into rows: it was saved as the own tensor of ${
        listRanks(placement.byRank.keys())
      }; leave it out of sharded, or save it with sharded or replicated`,
      { details: { tensor: name } },
    );
  }
  const taken = fitting(name, shard, placed.record.shape[0]) as RowShard;
  return {
    tensor: { ...specOf(placed.record, taken), ranges: [rowsOf(placed, taken.start, taken.end)] },
    shard: taken,
  };
}

/** @throws CairnError `state_mismatch` when the rows are of a tensor with another number of them. */
function fitting(
  name: string,
  shard: RowShard | undefined,
  rows: number | undefined,
): RowShard | undefined {
  if (shard === undefined || shard.rows === rows) return shard;
  throw new CairnError(
    "state_mismatch",
    `Cannot take rows of "${name}": it was saved with ${rows ?? "no"} rows, expected ${shard.rows}`,
    { details: { tensor: name, value: rows } },
  );
}

function specOf(
  { name, dtype, shape, aliasOf }: TensorRecord,
  rows?: RowShard,
): Omit<JoinedTensor, "ranges"> {
  return {
    name,
    dtype,
    shape: rows === undefined ? shape : [rows.end - rows.start, ...shape.slice(1)],
    aliasOf,
  };
}

function rangeOf(
  { reader, record: { rawOffset, byteLength } }: PlacedTensor,
): JoinedTensor["ranges"][number] {
  return { reader, rawOffset, byteLength };
}

function withoutAlias({ aliasOf: _, ...tensor }: JoinedTensor): JoinedTensor {
  return tensor;
}

/** The index's manifest, with the state of the rank's own part. */
function manifestFor({ index, parts }: CheckpointFiles, rank: number): Manifest {
  const { manifest } = index;
  if (manifest.parts?.worldSize === undefined || rank === 0) return manifest;
  const own = parts.find(({ record }) => record.rank === rank)?.reader.manifest;
  if (own !== undefined) return { ...manifest, state: own.state, user: own.user };
  // A rank that did not save: what is said of tensors is true for it too, and what was kept beside the state is not
  // its own.
  const { clientState: _, ...user } = Object(manifest.user);
  return { ...manifest, state: {}, user };
}

function reportOf(
  { index }: CheckpointFiles,
  placements: ReadonlyMap<string, Placement>,
  { rank, worldSize }: { readonly rank: number; readonly worldSize: number },
  sharded: Readonly<Record<string, RowShard>>,
): PlacementReport {
  const savedWorldSize = index.manifest.parts?.worldSize;
  const leftBehind = new Map<number, string[]>();
  const replicated: string[] = [];
  const own: string[] = [];
  for (const [name, placement] of placements) {
    if (!isStoreTensor(name)) continue;
    if (placement.kind === "shared" && placement.isReplicated) replicated.push(name);
    if (placement.kind !== "private") continue;
    for (const each of placement.byRank.keys()) {
      if (each === rank) own.push(name);
      if (each >= worldSize) leftBehind.set(each, [...leftBehind.get(each) ?? [], name]);
    }
  }
  return {
    savedWorldSize,
    worldSize,
    rank,
    replicated,
    sharded,
    private: own,
    leftBehind: [...leftBehind].sort(([a], [b]) => a - b).map(([each, tensors]) => ({ rank: each, tensors })),
    hasState: savedWorldSize === undefined || rank < savedWorldSize,
  };
}

function elsewhereOf(
  placements: ReadonlyMap<string, Placement>,
  rank: number,
): ReadonlyMap<string, readonly number[]> {
  return new Map(
    [...placements].flatMap(([name, placement]) =>
      placement.kind === "private" && !placement.byRank.has(rank)
        ? [[name, [...placement.byRank.keys()]] as const]
        : []
    ),
  );
}

/** `rank 2` or `ranks 0, 1`. */
export function listRanks(ranks: Iterable<number>): string {
  const all = [...ranks];
  return `${all.length === 1 ? "rank" : "ranks"} ${all.join(", ")}`;
}
