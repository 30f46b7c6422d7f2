import type { OptionNames } from "../../base/options/options.ts";
import { CairnError } from "../../base/errors.ts";
import type { ByteSink } from "../../container/source.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import { inErrorScopes } from "../../gpu/error_scopes.ts";
import { type SlabRange, slabRanges } from "../../tensor/slab_ranges.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";
import { Canary } from "./canary.ts";
import { encodingSteps } from "./encoding_plan.ts";
import { type MomentOptions, sizesOf, type Staging, type StoreMoment } from "./store_moment.ts";
import { ReadbackWriter } from "./readback_writer.ts";
import { allocateShadow, copiesOf, type Copy, type Shadow, submitCopies } from "./shadow.ts";
import { askGuards, GuardedTensors } from "./guarded_tensors.ts";
import { includedTensors, slabsOf, specOf } from "./included_tensors.ts";

/** Options of {@link StoreCopy}. */
export interface StoreCopyOptions {
  /**
   * The most GPU memory for copies of the tensors, in bytes. What does not fit is read from the tensors themselves,
   * while training waits. Unless given, as much as the store takes, or nothing when the GPU has no memory for that.
   */
  readonly memoryBudgetBytes?: number | undefined;
}

/** Every option of {@link StoreCopyOptions}. */
export const STORE_COPY_OPTIONS: OptionNames<StoreCopyOptions> = { memoryBudgetBytes: true };

/** A moment that was taken. */
interface TakenMoment {
  readonly spans: readonly SlabRange[];
  /** What the slabs' count of changes was. */
  readonly changes: number;
  readonly pattern: Uint8Array;
  readonly source: Promise<CopySource>;
  isSettled: boolean;
  /** What the guarded tensors were, once it was read. */
  guarded: Uint8Array;
}

/** Where the bytes of a {@link TakenMoment} come from. */
interface CopySource extends Staging {
  /** Those of the spans in their order. */
  readonly ranges: readonly BufferRange[];
  /** Those of the guarded tensors, and of the canary. */
  readonly tail: readonly BufferRange[];
  /** What the copies failed with. */
  readonly copying: Promise<CairnError | undefined>;
  /** Why less was copied than was tried. */
  readonly shortage: CairnError | undefined;
}

/**
 * Copies all tensors of a store to shadow memory on the GPU in one submit, and reads the shadow back while training
 * goes on. The shadow is allocated at the first copy and reused; it takes as much GPU memory as the store.
 *
 * Slabs for which there is no memory, because of a budget or because the GPU is full, are read from the store itself,
 * and first, so that training waits only for them. A change of the store before that is done makes the save fail: no
 * save ever mixes two steps.
 *
 * Where the GPU encodes what was copied, that takes up to 64 MiB more, kept for the next time; where there is no
 * memory for that, nothing is encoded.
 *
 * A {@link Canary} travels with the tensors, and so do the guarded ones, a second time.
 */
export class StoreCopy {
  readonly #store: TensorStore;
  readonly #budgetBytes: number;
  /** The device that everything here was made on. A store moves to another one when its own is lost. */
  #gpu: GpuDevice;
  /** Of each slab. */
  readonly #shadows = new Map<GPUBuffer, Shadow>();
  #readback: ReadbackWriter | undefined;
  readonly #guarded = new GuardedTensors();
  readonly #canary = new Canary();
  #isTaken = false;
  #isClosed = false;

  /** @throws RangeError for a budget that is no number from 0. */
  constructor(store: TensorStore, options: StoreCopyOptions = {}) {
    const { memoryBudgetBytes = Infinity } = options;
    if (!(memoryBudgetBytes >= 0)) {
      throw new RangeError(`memoryBudgetBytes is ${memoryBudgetBytes}, expected a number of bytes from 0`);
    }
    this.#store = store;
    this.#gpu = store.gpu;
    this.#budgetBytes = memoryBudgetBytes;
  }

  /** Whether a moment is held that was not released yet; there is shadow memory for one. */
  get isTaken(): boolean {
    return this.#isTaken;
  }

  /**
   * Submits the copy and returns: what is submitted later does not change what {@link StoreMoment.writeTo} writes,
   * unless some of it is streamed; see {@link StoreMoment.staging}.
   *
   * @param excluded Full names of tensors to leave out, with those that are tied to them.
   * @throws TypeError for a name that is not in the store.
   * @throws CairnError `device_lost`, or `closed`.
   */
  take(excluded: ReadonlySet<string> = new Set()): StoreMoment {
    if (this.#isClosed) throw new CairnError("closed", "Cannot copy the store: its copy was closed");
    if (this.#isTaken) {
      throw new CairnError("closed", "Cannot copy the store: the last copy is still being saved");
    }
    const { gpu } = this.#store;
    gpu.assertAlive();
    if (gpu !== this.#gpu) this.#free();
    this.#gpu = gpu;
    const tensors = includedTensors(this.#store, excluded);
    const moment = this.#copy(slabRanges(tensors));
    const { source } = moment;
    void source.catch(() => {}).then(() => moment.isSettled = true);
    this.#isTaken = true;
    let isReleased = false;
    return {
      tensors: tensors.map(specOf),
      staging: async () => {
        const { shadowBytes, streamedBytes } = await source;
        return { shadowBytes, streamedBytes };
      },
      writeTo: (sink, options) => this.#write(moment, sink, options),
      askGuards: () => askGuards(this.#store, moment.guarded),
      release: () => {
        if (isReleased) return;
        isReleased = true;
        const giveBack = (): boolean => this.#isTaken = false;
        // Whether the shadows can be used is found out first, and they are freed if not.
        if (moment.isSettled) giveBack();
        else void source.then(giveBack, giveBack);
      },
    };
  }

  /** Frees the shadow memory. Safe to call twice. */
  close(): void {
    this.#isClosed = true;
    this.#free();
  }

  #free(): void {
    this.#readback?.close();
    this.#readback = undefined;
    this.#freeShadows();
    this.#guarded.free(this.#gpu);
    this.#canary.free(this.#gpu);
  }

  #freeShadows(): void {
    for (const slab of [...this.#shadows.keys()]) this.#freeShadow(slab);
  }

  #freeShadow(slab: GPUBuffer): void {
    for (const part of this.#shadows.get(slab)?.buffers ?? []) this.#gpu.destroyBuffer(part);
    this.#shadows.delete(slab);
  }

  /** Copies as much as there is memory for. */
  #copy(spans: readonly SlabRange[]): TakenMoment {
    const { gpu } = this.#store;
    const changes = gpu.changesOf(slabsOf(spans));
    const first = this.#firstShadowed(spans);
    const allocating = this.#allocateShadows(spans.slice(first));
    const pattern = this.#canary.nextPattern();
    const submitted = this.#submitCopies(spans, first, pattern);
    const source = { ...sizesOf(spans, first), ...submitted, shortage: undefined };
    return {
      spans,
      changes,
      pattern,
      source: this.#settle(spans, pattern, source, allocating),
      isSettled: allocating === undefined,
      guarded: new Uint8Array(0),
    };
  }

  async #settle(
    spans: readonly SlabRange[],
    pattern: Uint8Array,
    source: CopySource,
    allocating: Promise<CairnError | undefined> | undefined,
  ): Promise<CopySource> {
    if (allocating === undefined) return source;
    const { gpu } = this.#store;
    const shortage = await allocating;
    gpu.assertAlive();
    if (this.#isClosed) throw new CairnError("closed", "Cannot copy the store: its copy was closed");
    if (shortage === undefined) return source;
    // Buffers that were not allocated stay invalid for ever, and the copies to them took those to the others with
    // them. What was allocated is given back: a GPU that is this full needs it for other things. The canary may be
    // among the invalid ones.
    this.#free();
    if (shortage.code !== "out_of_memory") throw shortage;
    const streamed = this.#submitCopies(spans, spans.length, pattern);
    return { ...sizesOf(spans, spans.length), ...streamed, shortage };
  }

  /** Index of the first range that is copied, as are all after it: those before it are streamed. */
  #firstShadowed(spans: readonly SlabRange[]): number {
    const chosen = new Set<GPUBuffer>();
    let bytes = 0;
    let first = spans.length;
    for (const { buffer } of [...spans].reverse()) {
      if (!chosen.has(buffer)) bytes += buffer.size;
      if (bytes > this.#budgetBytes) break;
      chosen.add(buffer);
      first--;
    }
    // Of another selection of tensors; without a budget there is no reason to give them back.
    for (const slab of this.#budgetBytes === Infinity ? [] : [...this.#shadows.keys()]) {
      if (!chosen.has(slab)) this.#freeShadow(slab);
    }
    return first;
  }

  /** @returns What that failed with, once it is known; `undefined` when there was nothing to do. */
  #allocateShadows(spans: readonly SlabRange[]): Promise<CairnError | undefined> | undefined {
    const { gpu } = this.#store;
    const missing = [...slabsOf(spans)].filter((slab) => !this.#shadows.has(slab));
    if (missing.length === 0) return undefined;
    return inErrorScopes(gpu.device, "copy of the store", () => {
      for (const slab of missing) this.#shadows.set(slab, allocateShadow(gpu, slab));
    }).error;
  }

  #submitCopies(
    spans: readonly SlabRange[],
    first: number,
    pattern: Uint8Array,
  ): Pick<CopySource, "ranges" | "tail" | "copying"> {
    const { gpu } = this.#store;
    const { value, error: copying } = inErrorScopes(gpu.device, "snapshot", () => {
      const copies: Copy[] = [];
      const ranges = spans.flatMap((range, index) => {
        const shadow = index < first ? undefined : this.#shadows.get(range.buffer);
        if (shadow === undefined) {
          return [{ buffer: range.buffer, offset: range.offset, size: range.byteLength }];
        }
        const added = copiesOf(range, shadow);
        copies.push(...added);
        return added.map(({ target }) => target);
      });
      const tail = [...this.#guarded.copies(this.#store), this.#canary.copy(gpu, pattern)];
      submitCopies(gpu, [...copies, ...tail]);
      return { ranges, tail: tail.map(({ target }) => target) };
    });
    return { ...value, copying };
  }

  async #write(
    moment: TakenMoment,
    sink: ByteSink,
    { signal, onFixed, encoded }: MomentOptions,
  ): Promise<void> {
    const { gpu } = this.#store;
    const { ranges, tail, copying, shadowBytes, streamedBytes, shortage } = await moment.source;
    const failure = await copying;
    gpu.assertAlive();
    if (failure !== undefined) {
      // Buffers that were not allocated stay invalid for ever; the next copy has to try anew.
      this.#free();
      throw failure;
    }
    const requireUnchanged = (): void => {
      if (gpu.changesOf(slabsOf(moment.spans)) !== moment.changes) {
        throw changedError(streamedBytes, shortage);
      }
    };
    const wanted = shadowBytes + streamedBytes;
    const steps = encodingSteps(ranges, tail, streamedBytes, encoded, gpu);
    const seen: number[] = [];
    let taken = 0;
    if (streamedBytes === 0) onFixed();
    await (this.#readback ??= new ReadbackWriter(gpu)).write(steps, {
      write: async (piece) => {
        const isStreamed = taken < streamedBytes;
        if (isStreamed) requireUnchanged();
        const ours = Math.min(piece.byteLength, wanted - taken);
        taken += ours;
        if (isStreamed && taken >= streamedBytes) onFixed();
        if (ours > 0) await sink.write(piece.subarray(0, ours));
        seen.push(...piece.subarray(ours));
      },
      writeEncoded: async (chunk) => {
        taken += chunk.rawLength;
        await encoded?.writeEncoded(chunk);
      },
    }, signal);
    gpu.assertAlive();
    const guardedBytes = seen.length - moment.pattern.byteLength;
    moment.guarded = Uint8Array.from(seen.slice(0, guardedBytes));
    requireCanary(gpu, seen.slice(guardedBytes), moment.pattern);
  }
}

function requireCanary({ adapterName }: GpuDevice, seen: readonly number[], pattern: Uint8Array): void {
  if (seen.length === pattern.byteLength && seen.every((byte, index) => byte === pattern[index])) return;
  throw new CairnError(
    "gpu_validation",
    `Cannot save: what was read back from "${adapterName}" is not what was copied there (the canary differs); ` +
      "the adapter or its driver is faulty, nothing was committed",
  );
}

function changedError(streamedBytes: number, shortage: CairnError | undefined): CairnError {
  return new CairnError(
    "state_changed",
    `Cannot save: the GPU was given other work while ${streamedBytes} bytes of tensors were read, for a copy of which it has no memory. ` +
      "The save might have mixed two steps; await save() before the next step",
    { cause: shortage },
  );
}
