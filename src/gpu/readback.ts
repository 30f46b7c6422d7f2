import { throwIfAborted } from "../base/abort.ts";
import { deferred } from "../base/deferred.ts";
import { Breather } from "../base/event_loop.ts";
import { CairnError } from "../base/errors.ts";
import { type BufferRange, checkCopyRange } from "./buffer_range.ts";
import { BufferUsage, MapMode } from "./constants.ts";
import { inErrorScopes } from "./error_scopes.ts";
import { type CopyStep, type MapStep, planReadback, type ReadbackStep } from "./readback_plan.ts";

/** What a ring needs of a device. `GpuDevice` is one. */
export interface ReadbackDevice {
  readonly device: GPUDevice;
  readonly limits: GPUSupportedLimits;
  /** Whether it is Deno's own WebGPU, as `GpuDevice` says. */
  readonly hasBlockingFences: boolean;
  createBuffer(label: string, byteLength: number, usage: number): GPUBuffer;
  destroyBuffer(buffer: GPUBuffer): void;
  /** @param changed The buffers that the work changes. */
  submit(work: GPUCommandEncoder, changed: readonly GPUBuffer[]): void;
  assertAlive(): void;
  waitFor<T>(work: Promise<T>): Promise<T>;
}

/** Options of {@link ReadbackRing}. */
export interface ReadbackOptions {
  /** Staging buffers. Default 4. */
  readonly slots?: number;
  /** Size of each in bytes, rounded down to a multiple of 256. Default 8 MiB, less where the adapter has less. */
  readonly slotBytes?: number;
}

/** Options of one read-back. */
export interface ReadbackStreamOptions {
  readonly signal?: AbortSignal | undefined;
}

/** A buffer that is mapped from its start on, or about to be, and what of it is wanted. */
interface Mapped {
  readonly buffer: GPUBuffer;
  readonly byteLength: number;
  readonly pieces: readonly { readonly offset: number; readonly size: number }[];
}

const DEFAULT_SLOTS = 4;
const DEFAULT_SLOT_BYTES = 8 * 1024 * 1024;
/** Where mapped memory is copied: so much at once that the copy is still in the processor's cache when it is used. */
const COPIED_BYTES = 1024 * 1024;

/**
 * Brings GPU memory to the host through a fixed number of reused staging buffers, in bounded memory. Where the ring
 * cannot hold all of it, the GPU fills the other slots while the caller has one.
 *
 * In Deno each wait for the GPU costs 11 ms, however much was asked for, of which 10 are idle: so what fits into the
 * ring is one submit and one wait, and otherwise as many are waited for at once as there are slots.
 */
export class ReadbackRing {
  readonly slots: number;
  readonly slotBytes: number;
  readonly #gpu: ReadbackDevice;
  readonly #buffers: (GPUBuffer | undefined)[] = [];
  /** Ends when the stream that has the slots ends; the next one waits for it. */
  #turn: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(gpu: ReadbackDevice, options: ReadbackOptions = {}) {
    const { slots = DEFAULT_SLOTS, slotBytes = DEFAULT_SLOT_BYTES } = options;
    if (!Number.isSafeInteger(slots) || slots < 1) {
      throw new RangeError(`slots is ${slots}, expected 1 or more`);
    }
    if (!Number.isSafeInteger(slotBytes) || slotBytes < 256) {
      throw new RangeError(`slotBytes is ${slotBytes}, expected 256 or more`);
    }
    this.#gpu = gpu;
    this.slots = slots;
    this.slotBytes = Math.floor(Math.min(slotBytes, gpu.limits.maxBufferSize) / 256) * 256;
  }

  /**
   * The bytes of `ranges`, one range after the other, in pieces of at most `slotBytes`. Offsets and sizes are
   * multiples of 4. Buffers that can be mapped (`MAP_READ`) are, from a multiple of 8 on, and are not copied. A piece
   * is a view of mapped memory, **valid until the next iteration**: copy what has to stay.
   *
   * One stream has the slots at a time; the next one waits until it has ended or was left. The ranges may be written
   * to while it runs, but then what is read is a mixture: read from a snapshot instead.
   * @throws RangeError for a range that is not aligned or lies outside of its buffer.
   * @throws CairnError `device_lost`, `out_of_memory` or `gpu_validation`; the reason of the signal when it aborts.
   */
  stream(ranges: readonly BufferRange[], options: ReadbackStreamOptions = {}): AsyncGenerator<Uint8Array> {
    return this.#stream(ranges, options, this.#gpu.hasBlockingFences ? COPIED_BYTES : Infinity);
  }

  /** @param most The most bytes that are mapped at once. */
  async *#stream(
    ranges: readonly BufferRange[],
    options: ReadbackStreamOptions,
    most: number,
  ): AsyncGenerator<Uint8Array> {
    for (const range of ranges) checkCopyRange(range, "Cannot read back");
    const release = await this.#takeTurn();
    const steps = planReadback(ranges, this.slots, this.slotBytes);
    const coming: Promise<Mapped[]>[] = [];
    let begun = 0;
    let copying = 0;
    try {
      for (const step of steps) {
        throwIfAborted(options.signal);
        // What is only mapped takes no slot.
        for (let next = steps[begun]; next !== undefined && copying < this.slots; next = steps[++begun]) {
          coming.push(this.#begin(next));
          if ("fills" in next) copying++;
        }
        yield* this.#viewsOf(await (coming.shift() as Promise<Mapped[]>), most);
        if ("fills" in step) copying--;
      }
    } finally {
      for (const step of coming) for (const { buffer } of await step.catch(() => [])) unmap(buffer);
      release();
    }
  }

  /** The bytes of each range, in arrays that the caller owns. Otherwise as {@link stream}. */
  async read(
    ranges: readonly BufferRange[],
    options: ReadbackStreamOptions = {},
  ): Promise<Uint8Array<ArrayBuffer>[]> {
    for (const range of ranges) checkCopyRange(range, "Cannot read back");
    const results = ranges.map(({ size }) => new Uint8Array(size));
    await this.#fill(results, ranges, options);
    return results;
  }

  /**
   * The bytes of `ranges`, one range behind the other, in `target`, which is as long. Otherwise as {@link read}: memory
   * that is used again has its pages already.
   * @throws RangeError for a target of another length.
   */
  async readInto(
    ranges: readonly BufferRange[],
    target: Uint8Array,
    options: ReadbackStreamOptions = {},
  ): Promise<void> {
    for (const range of ranges) checkCopyRange(range, "Cannot read back");
    const byteLength = ranges.reduce((sum, { size }) => sum + size, 0);
    if (target.byteLength !== byteLength) {
      throw new RangeError(
        `Cannot read back ${byteLength} bytes into ${target.byteLength}: the target has to be as long`,
      );
    }
    await this.#fill([target], ranges, options);
  }

  /** @param results Together as long as the ranges. */
  async #fill(
    results: readonly Uint8Array[],
    ranges: readonly BufferRange[],
    options: ReadbackStreamOptions,
  ): Promise<void> {
    let index = 0;
    let filled = 0;
    const breather = new Breather();
    for await (const piece of this.#stream(ranges, options, COPIED_BYTES)) {
      for (let used = 0; used < piece.byteLength;) {
        const result = results[index];
        if (result === undefined) break;
        const part = piece.subarray(used, used + result.byteLength - filled);
        result.set(part, filled);
        used += part.byteLength;
        filled += part.byteLength;
        if (filled < result.byteLength) continue;
        index += 1;
        filled = 0;
      }
      // Not before this piece is done with: the memory may be gone afterwards.
      await breather.breathe();
    }
  }

  /** Frees the staging buffers. A stream that still runs fails. */
  close(): void {
    this.#isClosed = true;
    for (const buffer of this.#buffers) if (buffer !== undefined) this.#gpu.destroyBuffer(buffer);
    this.#buffers.length = 0;
  }

  async #takeTurn(): Promise<() => void> {
    const before = this.#turn;
    const { promise, resolve } = deferred();
    this.#turn = promise;
    await before;
    return resolve;
  }

  *#viewsOf(mapped: readonly Mapped[], most: number): Generator<Uint8Array> {
    const left = new Set(mapped);
    try {
      for (const slot of mapped) {
        for (const { offset, size } of cut(slot.pieces, most)) {
          // The consumer may have taken long: the ring can be closed, or the device gone, since the slots were mapped.
          if (this.#isClosed) throw this.#closedError();
          this.#gpu.assertAlive();
          const range = slot.buffer.getMappedRange(offset, size);
          yield new Uint8Array(range);
          // Of Deno's own WebGPU it is a copy, which it would keep until the buffer is unmapped.
          if (this.#gpu.hasBlockingFences && !range.detached) range.transfer(0);
        }
        unmap(slot.buffer);
        left.delete(slot);
      }
    } finally {
      for (const { buffer } of left) unmap(buffer);
    }
  }

  /** Its error is thrown when its turn comes, which may be never. */
  #begin(step: ReadbackStep): Promise<Mapped[]> {
    const mapped = this.#map(step);
    mapped.catch(() => {});
    return mapped;
  }

  async #map(step: ReadbackStep): Promise<Mapped[]> {
    if (this.#isClosed) throw this.#closedError();
    this.#gpu.assertAlive();
    const { value: { slots, mapping }, error } = inErrorScopes(this.#gpu.device, "read-back", () => {
      const slots = "mappable" in step ? [wholeOf(step)] : this.#submitCopies(step);
      const mapping = slots.map(({ buffer, byteLength }) =>
        failureOf(buffer.mapAsync(MapMode.READ, 0, byteLength))
      );
      return { slots, mapping };
    });
    const [scopeError, ...maps] = await this.#gpu.waitFor(Promise.all([error, ...mapping]));
    const failure = scopeError ?? maps.find((map) => map !== undefined);
    try {
      if (this.#isClosed) throw this.#closedError();
      await this.#throwFailure(failure);
    } catch (thrown) {
      slots.forEach(({ buffer }, index) => {
        if (maps[index] === undefined) unmap(buffer);
      });
      if (!("mappable" in step)) this.#dropSlots(step);
      throw thrown;
    }
    return slots;
  }

  /** Lets go of the slots of a step that failed: a buffer that was not allocated is invalid for ever. */
  #dropSlots({ firstSlot, fills }: CopyStep): void {
    for (let slot = firstSlot; slot < firstSlot + fills.length; slot++) {
      const buffer = this.#buffers[slot];
      if (buffer !== undefined) this.#gpu.destroyBuffer(buffer);
      this.#buffers[slot] = undefined;
    }
  }

  #submitCopies({ fills, firstSlot }: CopyStep): Mapped[] {
    const encoder = this.#gpu.device.createCommandEncoder({ label: "read-back" });
    const slots = fills.map(({ pieces, byteLength }, index): Mapped => {
      const staging = this.#stagingBuffer(firstSlot + index);
      for (const { buffer, offset, size, slotOffset } of pieces) {
        encoder.copyBufferToBuffer(buffer, offset, staging, slotOffset, size);
      }
      return { buffer: staging, byteLength, pieces: [{ offset: 0, size: byteLength }] };
    });
    this.#gpu.submit(encoder, slots.map(({ buffer }) => buffer));
    return slots;
  }

  #stagingBuffer(slot: number): GPUBuffer {
    const usage = BufferUsage.MAP_READ | BufferUsage.COPY_DST;
    return this.#buffers[slot] ??= this.#gpu.createBuffer(`read-back slot ${slot}`, this.slotBytes, usage);
  }

  /** A lost device shows as a failed map in some runtimes, and as nothing but the flag in others. */
  async #throwFailure(failure: unknown): Promise<void> {
    if (failure !== undefined) await new Promise((resolve) => setTimeout(resolve, 0));
    this.#gpu.assertAlive();
    if (failure === undefined) return;
    if (failure instanceof CairnError) throw failure;
    const reason = failure instanceof Error ? failure.message : String(failure);
    throw new CairnError("gpu_validation", `Cannot map the read-back buffers: ${reason}`, { cause: failure });
  }

  #closedError(): CairnError {
    return new CairnError("closed", "Cannot read back from the GPU: the ring was closed");
  }
}

/** `pieces` in ones of at most `most` bytes: no more than a cache holds where what is mapped is copied. */
function* cut(pieces: Mapped["pieces"], most: number): Generator<Mapped["pieces"][number]> {
  for (const { offset, size } of pieces) {
    for (let at = 0; at < size; at += most) yield { offset: offset + at, size: Math.min(most, size - at) };
  }
}

function wholeOf({ mappable, pieces }: MapStep): Mapped {
  return { buffer: mappable, byteLength: mappable.size, pieces };
}

/** Deno throws for a buffer that was destroyed or whose device is lost; then there is nothing left to unmap. */
function unmap(buffer: GPUBuffer): void {
  try {
    buffer.unmap();
  } catch {
    // Nothing is mapped any more, and what went wrong is thrown where it is noticed.
  }
}

async function failureOf(mapping: Promise<unknown>): Promise<unknown> {
  try {
    await mapping;
    return undefined;
  } catch (error) {
    return error ?? new Error("mapAsync failed");
  }
}
