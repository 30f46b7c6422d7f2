import { alignUp, TENSOR_ALIGNMENT } from "../base/checked.ts";
import type { ContainerReader } from "../container/container_reader.ts";
import type { TensorRecord } from "../container/layout.ts";
import type { DType } from "../base/dtype.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import type { StoredTensor } from "../tensor/tensor_group.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";
import { readFitted } from "./fitted_tensor.ts";
import { isHostTensorName } from "./host_state.ts";
import { compareTensors, type LoadReport, requireMatch } from "./load_report.ts";
import { type NamePattern, NameSelection, renameBy, type RenameRule } from "./name_pattern.ts";
import type { FitOptions, FoundTensor } from "./tensor_fit.ts";
import { requireUndamaged } from "./undamaged.ts";

/** Which tensors of a file are loaded, under which names, and how those are made to fit that differ. */
export interface PartialLoadOptions extends FitOptions {
  /** Tensors to load, by their names in the store; all of them unless given. The others are neither loaded nor missed. */
  readonly only?: readonly NamePattern[];
  /** Tensors to leave as they are, by their names in the store. They are not missed. */
  readonly exclude?: readonly NamePattern[];
  /** How the file's names become those of the store: by the first rule that matches. */
  readonly rename?: readonly RenameRule[];
  /** Only report what a load would do, even where `strict` would refuse it. No data is read and nothing changes. Default false. */
  readonly dryRun?: boolean;
}

/** Options of {@link loadInto}. */
export interface LoadIntoOptions extends PartialLoadOptions {
  /** Names of the store's groups to load; all of them unless given. */
  readonly groups?: readonly string[];
  /** Whether anything that does not fit is an error. Default true. */
  readonly strict?: boolean;
  /** Names that a strict load does not miss, because they were left out when the file was written. */
  readonly excused?: Iterable<string>;
  /** By the file's names, the dtype that tensors had in memory which were written with another one. Those are cast back. */
  readonly castFrom?: ReadonlyMap<string, DType>;
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
  const selection = new NameSelection(options.only, options.exclude);
  const wanted = (groups?.map((name) => store.group(name)) ?? store.groups())
    .flatMap((group) => group.tensors)
    .filter(({ name }) => selection.has(name));
  const found = tensorsToLoad(reader, options, selection);
  const compared = compareTensors(wanted, withCasts(found, options.castFrom), new Set(excused), options);
  const report = { ...compared, unmatched: selection.unmatched() };
  if (options.dryRun === true) return report;
  if (strict) requireMatch(report, from);
  if (verify) await requireUndamaged(reader, from, signal === undefined ? {} : { signal });
  const { fitted, whole } = tensorsToWrite(wanted, report);
  await writeFitted(store.gpu, reader, fitted, found, signal);
  await copySegments(store.gpu, reader, planSegments(whole, found), options);
  return report;
}

/** Tensors of the file that could belong into the store, or into the groups of it that are asked for, by their new names. */
function tensorsToLoad(
  reader: ContainerReader,
  { groups, rename = [] }: LoadIntoOptions,
  selection: NameSelection,
): Map<string, TensorRecord> {
  const found = new Map<string, TensorRecord>();
  for (const tensor of reader.tensors) {
    if (isHostTensorName(tensor.name)) continue;
    const name = renameBy(rename, tensor.name);
    const isInGroups = groups?.some((group) => name.startsWith(`${group}.`)) ?? true;
    if (!isInGroups || !selection.has(name)) continue;
    const other = found.get(name);
    if (other !== undefined) {
      throw new TypeError(
        `"${other.name}" and "${tensor.name}" would both be loaded as "${name}"; see rename`,
      );
    }
    found.set(name, tensor);
  }
  return found;
}

function withCasts(
  found: ReadonlyMap<string, TensorRecord>,
  castFrom: ReadonlyMap<string, DType> | undefined,
): ReadonlyMap<string, FoundTensor> {
  if (castFrom === undefined || castFrom.size === 0) return found;
  return new Map(
    [...found].map((
      [to, { name, dtype, shape }],
    ) => [to, { name, dtype, shape, castFrom: castFrom.get(name) }]),
  );
}

/** What is loaded, without tensors whose memory another one writes: those that differ, and those that are copied as they are. */
function tensorsToWrite(
  wanted: readonly StoredTensor[],
  report: LoadReport,
): { fitted: StoredTensor[]; whole: StoredTensor[] } {
  const loaded = new Set(report.loaded);
  const differs = new Set([...report.cast, ...report.sliced, ...report.padded].map(({ name }) => name));
  // A tied tensor's memory is written once, with the bytes of the tensor that holds it.
  const isTied = ({ aliasOf }: StoredTensor): boolean => aliasOf !== undefined && loaded.has(aliasOf);
  const written = wanted.filter((tensor) => loaded.has(tensor.name) && !isTied(tensor));
  return {
    fitted: written.filter(({ name }) => differs.has(name)),
    whole: written.filter(({ name }) => !differs.has(name)),
  };
}

async function writeFitted(
  gpu: GpuDevice,
  reader: ContainerReader,
  tensors: readonly StoredTensor[],
  found: ReadonlyMap<string, TensorRecord>,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const tensor of tensors) {
    const record = found.get(tensor.name);
    if (record === undefined) continue;
    const bytes = await readFitted(reader, record, tensor, signal);
    gpu.assertAlive();
    gpu.write(tensor.range.buffer, tensor.range.offset, bytes);
  }
}

function planSegments(tensors: readonly StoredTensor[], found: ReadonlyMap<string, TensorRecord>): Segment[] {
  const parts = tensors.flatMap((tensor): Segment[] => {
    const record = found.get(tensor.name);
    if (record === undefined || record.byteLength === 0) return [];
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
  const reading = signal === undefined ? {} : { signal };
  const total = reader.rawByteLength;
  let last = 0;
  for (const inside of neighbours(segments)) {
    const start = inside[0]?.rawOffset ?? 0;
    const end = Math.min(endOf(inside.at(-1)), total);
    let first = 0;
    for await (const { rawOffset, bytes } of reader.rawChunks({ ...reading, start, end })) {
      gpu.assertAlive();
      last = rawOffset + bytes.byteLength;
      while (endOf(inside[first]) <= rawOffset) first++;
      for (let index = first; index < inside.length; index++) {
        const segment = inside[index];
        if (segment === undefined || segment.rawOffset >= last) break;
        writePart(gpu, segment, rawOffset, bytes);
      }
      onProgress?.({ done: last, total });
    }
  }
  await gpu.idle();
  // What comes behind is not for the GPU.
  if (last < total) onProgress?.({ done: total, total });
}

/** Segments that follow each other in the file with nothing but padding between, which are read in one go. */
function* neighbours(segments: readonly Segment[]): Generator<Segment[]> {
  let group: Segment[] = [];
  for (const segment of segments) {
    const last = group.at(-1);
    if (last !== undefined && segment.rawOffset - endOf(last) >= TENSOR_ALIGNMENT) {
      yield group;
      group = [];
    }
    group.push(segment);
  }
  if (group.length > 0) yield group;
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
