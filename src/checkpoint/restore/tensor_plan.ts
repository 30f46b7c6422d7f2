import type { Work } from "../../base/work.ts";
import { CairnError } from "../../base/errors.ts";
import type { DType } from "../../base/dtype.ts";
import type { CodecPool } from "../../container/codec/codec_pool.ts";
import { openHelpers } from "../../container/codec/open_helpers.ts";
import type { ContainerReader } from "../../container/read/container_reader.ts";
import type { TensorRecord } from "../../container/format/layout.ts";
import { GapCheck } from "../../container/format/raw_gaps.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import type { StoredTensor } from "../../tensor/tensor_group.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";
import { readFitted } from "./fitted_tensor.ts";
import { isHostTensorName } from "../capture/host_state.ts";
import { compareTensors, type TensorComparison } from "./load_report.ts";
import { checkRenameRules, NameSelection, renameBy } from "../../base/name_pattern.ts";
import { bytesOfSegment, endOf, type FileRange, fileRanges, planSegments } from "./store_segments.ts";
import type { PartialLoadOptions } from "./partial_load_options.ts";
import type { FoundTensor } from "./tensor_fit.ts";
import { type StagedTensors, stageTensors } from "./staged_tensors.ts";

/** What {@link TensorPlan.of} looks at. */
export interface TensorPlanOptions extends PartialLoadOptions {
  /** Names of the store's groups to load; all of them unless given. */
  readonly groups?: readonly string[] | undefined;
  /** Names that are not missed, because they were left out when the file was written. */
  readonly excused?: Iterable<string> | undefined;
  /** By the store's names, what tensors get that the file does not have, and which are then not missed. */
  readonly defaults?: ReadonlyMap<string, Uint8Array> | undefined;
  /**
   * By the file's names, the dtype that tensors had in memory which were written with another one. Those are cast
   * back.
   */
  readonly castFrom?: ReadonlyMap<string, DType> | undefined;
}

/** Which tensors of a file go where in a store. */
export class TensorPlan {
  readonly report: TensorComparison;
  readonly #store: TensorStore;
  readonly #found: ReadonlyMap<string, TensorRecord>;
  readonly #defaults: ReadonlyMap<string, Uint8Array>;

  private constructor(
    store: TensorStore,
    found: ReadonlyMap<string, TensorRecord>,
    defaults: ReadonlyMap<string, Uint8Array>,
    report: TensorComparison,
  ) {
    this.#store = store;
    this.#found = found;
    this.#defaults = defaults;
    this.report = report;
  }

  /**
   * Compares the tables of the file with the store. Reads nothing. @throws TypeError for names that are no tensor's
   * or group's.
   */
  static of(store: TensorStore, reader: ContainerReader, options: TensorPlanOptions): TensorPlan {
    const { groups, excused = [] } = options;
    if (options.rename !== undefined) checkRenameRules(options.rename);
    const selection = new NameSelection(options.only, options.exclude);
    const wanted = (groups?.map((name) => store.group(name)) ?? store.groups())
      .flatMap((group) => group.tensors)
      .filter(({ name }) => selection.has(name));
    const found = tensorsToLoad(reader, options, selection);
    const defaults = new Map([...options.defaults ?? []].filter(([name]) => !found.has(name)));
    const notMissed = new Set([...excused, ...defaults.keys()]);
    const compared = compareTensors(wanted, withCasts(found, options.castFrom), notMissed, options);
    return new TensorPlan(store, found, defaults, { ...compared, unmatched: selection.unmatched() });
  }

  /** Bytes in the store of the tensors that are loaded, each once however many names it has. */
  get byteLength(): number {
    const { fitted, whole } = this.#tensorsToWrite();
    return [...fitted, ...whole].reduce((sum, { range }) => sum + range.size, 0);
  }

  /**
   * Reads what the plan takes, to where it waits. Where the file lies as the slabs do, that is chunk by chunk;
   * otherwise the parts that fit. On the host it needs a chunk at a time, whatever the size.
   *
   * @param options With `readsAll` every byte of the file is read and checked.
   */
  async stage(
    reader: ContainerReader,
    options: Work & { readonly readsAll: boolean },
  ): Promise<StagedTensors> {
    const { gpu } = this.#store;
    const { fitted, whole } = this.#tensorsToWrite();
    const segments = planSegments(whole, this.#found);
    const fittedTargets = fitted.map((tensor) => ({ tensor, target: rangeOf(tensor) }));
    const defaults = [...this.#defaults].map(([name, bytes]) => {
      return { bytes, target: rangeOf(this.#store.tensor(name)) };
    });
    const targets = [...segments, ...fittedTargets, ...defaults].map(({ target }) => target);
    const staged = await stageTensors(gpu, targets);
    try {
      for (const { tensor, target } of fittedTargets) {
        const record = this.#found.get(tensor.name);
        if (record === undefined) continue;
        const bytes = await readFitted(reader, record, tensor, options.signal);
        gpu.assertAlive();
        staged.write(target, 0, bytes);
      }
      for (const { target, bytes } of defaults) staged.write(target, 0, bytes);
      const all = { start: 0, end: reader.rawByteLength, segments };
      const parts = options.readsAll ? [all] : [...fileRanges(segments)];
      const gaps = options.readsAll ? new GapCheck(reader) : undefined;
      // A fence that blocks is one of a runtime that copies on a thread of its own; another finds no core free.
      const helpers = gpu.hasBlockingFences ? undefined : openHelpers(codedBytes(reader, parts));
      try {
        await copyParts(gpu, reader, parts, { ...options, staged, gaps, pool: helpers });
      } finally {
        await helpers?.close();
      }
      await staged.ready();
      return staged;
    } catch (error) {
      staged.free();
      throw error;
    }
  }

  /**
   * What is loaded, without tensors whose memory another one writes: those that differ, and those that are copied as
   * they are.
   */
  #tensorsToWrite(): { fitted: StoredTensor[]; whole: StoredTensor[] } {
    const loaded = new Set(this.report.loaded);
    const { cast, sliced, padded } = this.report;
    const differs = new Set([...cast, ...sliced, ...padded].map(({ name }) => name));
    // A tied tensor's memory is written once, with the bytes of the tensor that holds it.
    const isTied = ({ aliasOf }: StoredTensor): boolean => aliasOf !== undefined && loaded.has(aliasOf);
    // Asked for by now: a store that was put on another device has them elsewhere.
    const written = [...loaded].map((name) => this.#store.tensor(name)).filter((tensor) => !isTied(tensor));
    return {
      fitted: written.filter(({ name }) => differs.has(name)),
      whole: written.filter(({ name }) => !differs.has(name)),
    };
  }
}

function rangeOf({ range }: StoredTensor): BufferRange {
  return { ...range };
}

/**
 * Tensors of the file that could belong into the store, or into the groups of it that are asked for, by their new
 * names.
 */
function tensorsToLoad(
  reader: ContainerReader,
  { groups, rename = [] }: TensorPlanOptions,
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

/** Raw bytes of the chunks with a part in these that have to be decoded. */
function codedBytes({ chunks }: ContainerReader, parts: readonly FileRange[]): number {
  let coded = 0;
  let part = 0;
  for (const { rawOffset, rawLength, codec } of chunks) {
    while ((parts[part]?.end ?? Infinity) <= rawOffset) part++;
    const isRead = (parts[part]?.start ?? Infinity) < rawOffset + rawLength;
    if (isRead && codec.name !== "raw") coded += rawLength;
  }
  return coded;
}

/** @param options With `gaps` where the bytes between tensors were not checked before. */
async function copyParts(
  gpu: GpuDevice,
  reader: ContainerReader,
  parts: Iterable<FileRange>,
  { staged, gaps, pool, signal, onProgress }: Work & {
    readonly staged: StagedTensors;
    readonly gaps: GapCheck | undefined;
    readonly pool: CodecPool | undefined;
  },
): Promise<void> {
  const total = reader.rawByteLength;
  let done = 0;
  for (const { start, end, segments } of parts) {
    let first = 0;
    for await (const { rawOffset, bytes } of reader.rawChunks({ start, end, signal, pool })) {
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
        const { at, piece } = bytesOfSegment(segment, rawOffset, bytes);
        staged.write(segment.target, at, piece);
      }
      onProgress?.({ done, total });
    }
  }
  // What comes behind is not for the GPU.
  if (done < total) onProgress?.({ done: total, total });
}
