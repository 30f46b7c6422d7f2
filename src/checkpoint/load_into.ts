import type { OptionNames } from "../base/options.ts";
import { CairnError } from "../base/errors.ts";
import type { ContainerReader } from "../container/read/container_reader.ts";
import { isDamage } from "../container/format/damage.ts";
import type { TensorRecord } from "../container/format/layout.ts";
import { GapCheck } from "../container/format/raw_gaps.ts";
import type { DType } from "../base/dtype.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import type { StoredTensor } from "../tensor/tensor_group.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";
import { readFitted } from "./fitted_tensor.ts";
import { isHostTensorName } from "./host_state.ts";
import { compareTensors, type LoadReport, requireMatch } from "./load_report.ts";
import { type NamePattern, NameSelection, renameBy, type RenameRule } from "./name_pattern.ts";
import { FIT_OPTIONS, type FitOptions, type FoundTensor } from "./tensor_fit.ts";
import { endOf, type PartOfFile, partsWith, planSegments, writePart } from "./store_segments.ts";
import { requireUndamaged } from "./undamaged.ts";
import type { Undo } from "./undo.ts";

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

/** Every option of {@link PartialLoadOptions}. */
export const PARTIAL_LOAD_OPTIONS: OptionNames<PartialLoadOptions> = {
  ...FIT_OPTIONS,
  only: true,
  exclude: true,
  rename: true,
  dryRun: true,
};

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
  /**
   * With it the file is read once instead of twice: tensors are written while the rest is still being checked, and put back if it is
   * damaged.
   */
  readonly undo?: Undo | undefined;
  /** What is being loaded, for messages: `checkpoint "step-100"`. */
  readonly from?: string;
  readonly signal?: AbortSignal;
  /** Called after each chunk with raw bytes. */
  readonly onProgress?: (progress: { done: number; total: number }) => void;
}

/**
 * Loads the tensors of a container into a store, by name. Where the file lies as the slabs do, whole slabs are written
 * chunk by chunk; otherwise the parts that fit. On the host it needs a chunk at a time, whatever the size.
 *
 * Unless the whole file is sound, nothing in the store changes: it is read and checked before, or what was changed is undone.
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
  const { fitted, whole } = tensorsToWrite(wanted, report);
  const segments = planSegments(whole, found);
  const write = async (parts: Iterable<PartOfFile>, gaps?: GapCheck): Promise<void> => {
    await writeFitted(store.gpu, reader, fitted, found, signal);
    await copyParts(store.gpu, reader, parts, { ...options, gaps });
  };
  const all = { start: 0, end: reader.rawByteLength, segments };
  const isDone = verify && await writeOnce(reader, options, () => write([all], new GapCheck(reader)));
  if (isDone) return report;
  if (verify) await requireUndamaged(reader, from, aborting(signal));
  await write(partsWith(segments));
  return report;
}

/**
 * Writes while it checks, where that can be undone. `write` reads all of the file.
 *
 * @returns Whether it was possible.
 */
async function writeOnce(
  reader: ContainerReader,
  { undo, from = "the container", signal }: LoadIntoOptions,
  write: () => Promise<void>,
): Promise<boolean> {
  if (undo === undefined) return false;
  try {
    return await undo.attempt(write);
  } catch (error) {
    // All that is damaged is named, not only what was found first.
    if (isDamage(error)) await requireUndamaged(reader, from, aborting(signal));
    throw error;
  }
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

/** @param options With `gaps` where the bytes between tensors were not checked before. */
async function copyParts(
  gpu: GpuDevice,
  reader: ContainerReader,
  parts: Iterable<PartOfFile>,
  { signal, onProgress, gaps }: LoadIntoOptions & { readonly gaps: GapCheck | undefined },
): Promise<void> {
  const total = reader.rawByteLength;
  let done = 0;
  for (const { start, end, segments } of parts) {
    let first = 0;
    for await (const { rawOffset, bytes } of reader.rawChunks({ start, end, ...aborting(signal) })) {
      gpu.assertAlive();
      done = rawOffset + bytes.byteLength;
      for (const { start, end } of gaps?.damagedUpTo(done, rawOffset, bytes) ?? []) {
        throw new CairnError(
          "invalid_container",
          `The raw bytes ${start} to ${end}, between two tensors, are not zero`,
        );
      }
      while (first < segments.length && endOf(segments[first]) <= rawOffset) first++;
      for (let index = first; index < segments.length; index++) {
        const segment = segments[index];
        if (segment === undefined || segment.rawOffset >= done) break;
        writePart(gpu, segment, rawOffset, bytes);
      }
      onProgress?.({ done, total });
    }
  }
  await gpu.idle();
  // What comes behind is not for the GPU.
  if (done < total) onProgress?.({ done: total, total });
}

function aborting(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
