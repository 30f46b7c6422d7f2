import { alignUp, TENSOR_ALIGNMENT } from "../base/checked.ts";
import type { ContainerReader } from "../container/container_reader.ts";
import type { TensorRecord } from "../container/layout.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import type { StoredTensor } from "../tensor/tensor_group.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";
import { isHostTensorName } from "./host_state.ts";
import { compareTensors, type LoadReport, requireMatch } from "./load_report.ts";
import { requireUndamaged } from "./undamaged.ts";

/** Options of {@link loadInto}. */
export interface LoadIntoOptions {
  /** Names of the store's groups to load; all of them unless given. */
  readonly groups?: readonly string[];
  /** Whether anything that does not fit is an error. Default true. */
  readonly strict?: boolean;
  /** Names that a strict load does not miss, because they were left out when the file was written. */
  readonly excused?: Iterable<string>;
  /** Read all of the file and check it before the store is touched. Default true; false for a reader that was verified. */
  readonly verify?: boolean;
  /** What is being loaded, for messages: `checkpoint "step-100"`. */
  readonly from?: string;
  readonly signal?: AbortSignal;
  /** Called after each chunk with raw bytes. */
  readonly onProgress?: (progress: { done: number; total: number }) => void;
}

/** A run of bytes that lies the same way in the file's raw space and in a slab. */
interface Segment {
  readonly rawOffset: number;
  byteLength: number;
  readonly buffer: GPUBuffer;
  readonly offset: number;
}

/**
 * Loads the tensors of a container into a store, by name. Where the file lies as the slabs do, whole slabs are written
 * chunk by chunk; otherwise the parts that fit. On the host it needs a chunk at a time, whatever the size.
 *
 * Until the file has been read and checked as a whole, nothing in the store changes.
 *
 * @returns What was loaded and what did not fit; with `strict` nothing but `loaded` has entries.
 * @throws CairnError `state_mismatch` when `strict` and something does not fit; `checksum_mismatch` for a damaged file;
 * `device_lost`.
 */
export async function loadInto(
  store: TensorStore,
  reader: ContainerReader,
  options: LoadIntoOptions = {},
): Promise<LoadReport> {
  const { groups, strict = true, excused = [], verify = true, from = "the container", signal } = options;
  store.gpu.assertAlive();
  const wanted = (groups?.map((name) => store.group(name)) ?? store.groups()).flatMap((group) =>
    group.tensors
  );
  const found = tensorsToLoad(reader, groups);
  const report = compareTensors(wanted, found, new Set(excused));
  if (strict) requireMatch(report, from);
  if (verify) await requireUndamaged(reader, from, signal === undefined ? {} : { signal });
  const fits = new Set(report.loaded);
  const segments = planSegments(wanted.filter(({ name }) => fits.has(name)), found);
  await copySegments(store.gpu, reader, segments, options);
  return report;
}

/** Tensors of the file that could belong into the store, or into these groups of it. */
function tensorsToLoad(
  reader: ContainerReader,
  groups: readonly string[] | undefined,
): Map<string, TensorRecord> {
  const isAsked = ({ name }: TensorRecord): boolean =>
    !isHostTensorName(name) && (groups?.some((group) => name.startsWith(`${group}.`)) ?? true);
  return new Map(reader.tensors.filter(isAsked).map((tensor) => [tensor.name, tensor]));
}

function planSegments(tensors: readonly StoredTensor[], found: ReadonlyMap<string, TensorRecord>): Segment[] {
  const names = new Set(tensors.map(({ name }) => name));
  const parts = tensors.flatMap((tensor): Segment[] => {
    const record = found.get(tensor.name);
    // A tied tensor's memory is written once, with the bytes of the tensor that holds it.
    const isTied = tensor.aliasOf !== undefined && names.has(tensor.aliasOf);
    if (record === undefined || isTied || record.byteLength === 0) return [];
    const { buffer, offset } = tensor.range;
    return [{ rawOffset: record.rawOffset, byteLength: alignUp(record.byteLength, 4), buffer, offset }];
  });
  parts.sort((a, b) => a.rawOffset - b.rawOffset);
  const segments: Segment[] = [];
  for (const part of parts) {
    const last = segments.at(-1);
    if (last !== undefined && isNext(last, part)) {
      last.byteLength = part.rawOffset + part.byteLength - last.rawOffset;
    } else segments.push(part);
  }
  return segments;
}

/** Whether `part` follows `last` in the file and in the same slab, with nothing but padding, which is zero, between. */
function isNext(last: Segment, part: Segment): boolean {
  const distance = part.rawOffset - last.rawOffset;
  return last.buffer === part.buffer && part.offset - last.offset === distance &&
    distance === alignUp(last.byteLength, TENSOR_ALIGNMENT);
}

async function copySegments(
  gpu: GpuDevice,
  reader: ContainerReader,
  segments: readonly Segment[],
  { signal, onProgress }: LoadIntoOptions,
): Promise<void> {
  let first = 0;
  for (const { rawOffset, rawLength } of reader.chunks) {
    const end = rawOffset + rawLength;
    while (first < segments.length && endOf(segments[first]) <= rawOffset) first++;
    const inside: Segment[] = [];
    for (let index = first; index < segments.length; index++) {
      const segment = segments[index];
      if (segment === undefined || segment.rawOffset >= end) break;
      if (endOf(segment) > rawOffset) inside.push(segment);
    }
    if (inside.length > 0) {
      const bytes = await reader.readRange(rawOffset, rawLength, signal === undefined ? {} : { signal });
      gpu.assertAlive();
      for (const segment of inside) writePart(gpu, segment, rawOffset, bytes);
    }
    onProgress?.({ done: end, total: reader.rawByteLength });
  }
  await gpu.idle();
}

function writePart(gpu: GpuDevice, segment: Segment, rawOffset: number, bytes: Uint8Array): void {
  const start = Math.max(segment.rawOffset, rawOffset);
  const end = Math.min(endOf(segment), rawOffset + bytes.byteLength);
  gpu.write(
    segment.buffer,
    segment.offset + start - segment.rawOffset,
    bytes.subarray(start - rawOffset, end - rawOffset),
  );
}

function endOf(segment: Segment | undefined): number {
  return segment === undefined ? 0 : segment.rawOffset + segment.byteLength;
}
