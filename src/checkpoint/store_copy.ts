import { TENSOR_ALIGNMENT } from "../base/checked.ts";
import { CairnError } from "../base/errors.ts";
import type { TensorSpec } from "../container/layout.ts";
import type { BufferRange } from "../gpu/buffer_range.ts";
import { BufferUsage } from "../gpu/constants.ts";
import { inErrorScopes } from "../gpu/error_scopes.ts";
import { ReadbackRing } from "../gpu/readback.ts";
import type { StoredTensor } from "../tensor/tensor_group.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";
import { nextTurn } from "../base/event_loop.ts";

/** The copy of a store at one moment, in the same queue as the training steps. */
export interface StoreMoment {
  /** The tensors in the order of {@link StoreMoment.bytes}, with their full names. */
  readonly tensors: readonly TensorSpec[];
  /**
   * The raw space of the tensors, in pieces that are valid until the next one is asked for.
   *
   * @throws CairnError `device_lost`, or `gpu_validation` when what comes back is not what was copied.
   */
  bytes(signal?: AbortSignal): AsyncGenerator<Uint8Array>;
  /** Gives the shadow memory back for the next copy. Safe to call twice. */
  release(): void;
}

interface Taken {
  readonly ranges: readonly BufferRange[];
  readonly canary: BufferRange;
  readonly pattern: Uint8Array;
}

interface Run {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  byteLength: number;
}

const SHADOW_USAGE = BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
const CANARY_WORDS = 64;
const RING_SLOTS = 4;
const RING_SLOT_BYTES = 8 * 1024 * 1024;

/**
 * Copies all tensors of a store to shadow memory on the GPU in one submit, and reads the shadow back while training
 * goes on. The shadow is allocated at the first copy and reused; it takes as much GPU memory as the store.
 *
 * A canary, a pattern that differs with every copy, travels with the tensors: read-backs that give zeros or old bytes,
 * which a dying device may do without an error, are found by it.
 */
export class StoreCopy {
  readonly #store: TensorStore;
  readonly #shadows = new Map<GPUBuffer, GPUBuffer>();
  #ring: ReadbackRing | undefined;
  #canary: { source: GPUBuffer; shadow: GPUBuffer } | undefined;
  #copies = 0;
  #isTaken = false;
  #isClosed = false;

  constructor(store: TensorStore) {
    this.#store = store;
  }

  /** Whether a moment is held that was not released yet; there is shadow memory for one. */
  get isTaken(): boolean {
    return this.#isTaken;
  }

  /**
   * Submits the copy and returns: what is submitted later does not change what {@link StoreMoment.bytes} gives.
   *
   * @param excluded Full names of tensors to leave out, with those that are tied to them.
   * @throws TypeError for a name that is not in the store.
   * @throws CairnError `device_lost`, `out_of_memory`, `limit_exceeded`, or `closed`.
   */
  take(excluded: ReadonlySet<string> = new Set()): StoreMoment {
    if (this.#isClosed) throw new CairnError("closed", "Cannot copy the store: its copy was closed");
    if (this.#isTaken) {
      throw new CairnError("closed", "Cannot copy the store: the copy before is still being saved");
    }
    const { gpu } = this.#store;
    gpu.assertAlive();
    const tensors = includedTensors(this.#store, excluded);
    const runs = runsOf(tensors);
    const { value: taken, error } = inErrorScopes(gpu.device, "snapshot", () => this.#submitCopies(runs));
    this.#isTaken = true;
    let isReleased = false;
    return {
      tensors: tensors.map(specOf),
      bytes: (signal) => this.#read(taken, error, signal),
      release: () => {
        if (!isReleased) this.#isTaken = false;
        isReleased = true;
      },
    };
  }

  /** Frees the shadow memory. Safe to call twice. */
  close(): void {
    this.#isClosed = true;
    this.#free();
  }

  #free(): void {
    this.#ring?.close();
    this.#ring = undefined;
    const { gpu } = this.#store;
    for (const shadow of this.#shadows.values()) gpu.destroyBuffer(shadow);
    this.#shadows.clear();
    if (this.#canary === undefined) return;
    gpu.destroyBuffer(this.#canary.source);
    gpu.destroyBuffer(this.#canary.shadow);
    this.#canary = undefined;
  }

  #submitCopies(runs: readonly Run[]): Taken {
    const { gpu } = this.#store;
    const encoder = gpu.device.createCommandEncoder({ label: "snapshot" });
    const ranges = runs.map(({ buffer, offset, byteLength }): BufferRange => {
      const shadow = this.#shadowOf(buffer);
      encoder.copyBufferToBuffer(buffer, offset, shadow, offset, byteLength);
      return { buffer: shadow, offset, size: byteLength };
    });
    const pattern = this.#nextPattern();
    this.#canary ??= {
      source: gpu.createBuffer("canary", pattern.byteLength, SHADOW_USAGE),
      shadow: gpu.createBuffer("shadow of canary", pattern.byteLength, SHADOW_USAGE),
    };
    gpu.write(this.#canary.source, 0, pattern);
    encoder.copyBufferToBuffer(this.#canary.source, 0, this.#canary.shadow, 0, pattern.byteLength);
    gpu.submit(encoder);
    return { ranges, pattern, canary: { buffer: this.#canary.shadow, offset: 0, size: pattern.byteLength } };
  }

  async *#read(
    taken: Taken,
    copyError: Promise<CairnError | undefined>,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const { ranges, pattern, canary } = taken;
    const { gpu } = this.#store;
    const failure = await copyError;
    gpu.assertAlive();
    if (failure !== undefined) {
      // Buffers that were not allocated stay invalid for ever; the next copy has to try anew.
      this.#free();
      throw failure;
    }
    const wanted = ranges.reduce((sum, range) => sum + range.size, 0);
    const seen: number[] = [];
    let given = 0;
    for await (const piece of this.#hostPieces([...ranges, canary], wanted, signal)) {
      const ours = Math.min(piece.byteLength, wanted - given);
      given += ours;
      if (ours > 0) yield piece.subarray(0, ours);
      seen.push(...piece.subarray(ours));
    }
    gpu.assertAlive();
    if (seen.length === pattern.byteLength && seen.every((byte, index) => byte === pattern[index])) return;
    throw new CairnError(
      "gpu_validation",
      `Cannot save: what was read back from "${gpu.adapterName}" is not what was copied there (the canary differs); ` +
        "the adapter or its driver is faulty, nothing was committed",
    );
  }

  /** Pieces of the ranges in memory of our own: when a device is lost, mapped memory goes away, in the middle of a write. */
  async *#hostPieces(
    ranges: readonly BufferRange[],
    byteLength: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array> {
    const { gpu } = this.#store;
    let host = new Uint8Array(0);
    try {
      for await (const mapped of this.#ringFor(byteLength).stream(ranges, { signal })) {
        if (host.byteLength < mapped.byteLength) host = new Uint8Array(mapped.byteLength);
        host.set(mapped);
        yield host.subarray(0, mapped.byteLength);
        gpu.assertAlive();
      }
    } catch (error) {
      // Each runtime has errors of its own for a lost device, some before its flag is up.
      await nextTurn();
      gpu.assertAlive();
      throw error;
    }
  }

  #shadowOf(slab: GPUBuffer): GPUBuffer {
    const known = this.#shadows.get(slab);
    if (known !== undefined) return known;
    const shadow = this.#store.gpu.createBuffer(`shadow of ${slab.label}`, slab.size, SHADOW_USAGE);
    this.#shadows.set(slab, shadow);
    return shadow;
  }

  #nextPattern(): Uint8Array {
    const words = new Uint32Array(CANARY_WORDS);
    for (let index = 0; index < CANARY_WORDS; index++) {
      words[index] = Math.imul(this.#copies * CANARY_WORDS + index + 1, 0x9e3779b1);
    }
    this.#copies++;
    return new Uint8Array(words.buffer);
  }

  /** Staging memory for one pass over `byteLength` bytes, at most 32 MiB of it. */
  #ringFor(byteLength: number): ReadbackRing {
    const share = Math.ceil((byteLength + CANARY_WORDS * 4) / RING_SLOTS / TENSOR_ALIGNMENT) *
      TENSOR_ALIGNMENT;
    const slotBytes = Math.min(RING_SLOT_BYTES, share);
    if (this.#ring !== undefined && this.#ring.slotBytes >= slotBytes) return this.#ring;
    this.#ring?.close();
    this.#ring = new ReadbackRing(this.#store.gpu, { slots: RING_SLOTS, slotBytes });
    return this.#ring;
  }
}

function includedTensors(store: TensorStore, excluded: ReadonlySet<string>): StoredTensor[] {
  // A name that is spelled wrong would save what was meant to stay out.
  for (const name of excluded) store.tensor(name);
  const isOut = (tensor: StoredTensor): boolean =>
    excluded.has(tensor.name) || (tensor.aliasOf !== undefined && excluded.has(tensor.aliasOf));
  return store.groups().flatMap((group) => group.tensors.filter((tensor) => !isOut(tensor)));
}

/** Memory of the tensors in their order: one run for a slab of which nothing is left out. */
function runsOf(tensors: readonly StoredTensor[]): Run[] {
  const runs: Run[] = [];
  for (const { range, offset, byteLength, aliasOf } of tensors) {
    if (aliasOf !== undefined || byteLength === 0) continue;
    const end = offset + Math.ceil(byteLength / TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT;
    const last = runs.at(-1);
    if (last?.buffer === range.buffer && last.offset + last.byteLength === offset) {
      last.byteLength = end - last.offset;
    } else {
      runs.push({ buffer: range.buffer, offset, byteLength: end - offset });
    }
  }
  return runs;
}

function specOf({ name, dtype, shape, aliasOf }: StoredTensor): TensorSpec {
  return aliasOf === undefined ? { name, dtype, shape } : { name, dtype, shape, aliasOf };
}
