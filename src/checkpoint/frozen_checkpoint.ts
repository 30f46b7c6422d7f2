import { byteSizeOf } from "../base/dtype.ts";
import { CairnError } from "../base/errors.ts";
import type { TensorSpec } from "../container/layout.ts";
import type { Manifest, Provenance } from "../container/manifest.ts";
import { alignUp, TENSOR_ALIGNMENT } from "../base/checked.ts";
import type { StateValue } from "../container/state_tree.ts";
import { elementCount } from "../tensor/shape.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";
import { freezeState, type HostBytes, type StateInput } from "./host_state.ts";
import { StoreCopy, type StoreMoment } from "./store_copy.ts";

/** What a checkpoint is made of. */
export interface CheckpointState {
  /** Every tensor of it is saved. */
  readonly store?: TensorStore;
  /** Everything else that the run needs to go on: counters, histories, state of the data loader. */
  readonly state?: StateInput;
  /** Figures by name, for whoever picks the best checkpoint. NaN is fine, and never the best. */
  readonly metrics?: Readonly<Record<string, number>>;
  /** What is known of the run; the engine adds its run id, the tag and the time. */
  readonly provenance?: Partial<Provenance>;
  /** What the user wants to keep beside the state. */
  readonly clientState?: StateInput;
  /** Full names of tensors of the store to leave out, such as frozen parameters that come from elsewhere. */
  readonly excludedTensors?: Iterable<string>;
}

/** Told how far the bytes of a {@link FrozenCheckpoint} are. */
export interface BytesListener {
  /** The first of them are asked for, which may happen more than once. */
  onReading(): void;
  /** Those on the GPU were all read. */
  onStaged(): void;
  /** All of them were taken. */
  onRead(): void;
}

const PADDING = new Uint8Array(TENSOR_ALIGNMENT);

/**
 * A {@link CheckpointState} at one moment: the tensors are a GPU copy in the queue, the rest was copied in the same tick.
 * Whatever happens to the live state afterwards does not change it.
 */
export class FrozenCheckpoint {
  /** All tensors in file order: those of the store, then those of the host state. */
  readonly tensors: readonly TensorSpec[];
  readonly manifest: Manifest;
  readonly #moment: StoreMoment | undefined;
  readonly #hostTensors: readonly HostBytes[];
  readonly #store: TensorStore | undefined;
  readonly #ownCopy: StoreCopy | undefined;
  #isReleased = false;
  #listener: BytesListener | undefined;

  private constructor(source: CheckpointState, copy: StoreCopy | undefined, ownCopy: StoreCopy | undefined) {
    const { store, state, clientState, metrics = {}, provenance = {} } = source;
    const excluded = new Set(source.excludedTensors ?? []);
    const run = freezeState(state ?? {});
    const user = freezeState(clientState, "clientState");
    // Last, so that nothing is held when the state cannot be saved.
    this.#moment = store === undefined ? undefined : (copy ?? ownCopy)?.take(excluded);
    this.#hostTensors = [...run.tensors, ...user.tensors];
    this.#store = store;
    this.#ownCopy = ownCopy;
    this.tensors = [...this.#moment?.tensors ?? [], ...this.#hostTensors.map(({ spec }) => spec)];
    this.manifest = {
      kind: "checkpoint",
      state: run.state,
      metrics: { ...metrics },
      provenance: { ...provenance, ...store === undefined ? {} : gpuProvenance(store) },
      user: userFields(user.state, this.#leftOut()),
    };
  }

  /**
   * Freezes `source` now.
   *
   * @param copy The shadow memory to use, which a caller that saves often keeps; otherwise it is allocated for this once.
   * @throws TypeError for a state that cannot be saved; CairnError when the GPU cannot copy.
   */
  static of(source: CheckpointState, copy?: StoreCopy): FrozenCheckpoint {
    const ownCopy = copy === undefined && source.store !== undefined
      ? new StoreCopy(source.store)
      : undefined;
    try {
      return new FrozenCheckpoint(source, copy, ownCopy);
    } catch (error) {
      ownCopy?.close();
      throw error;
    }
  }

  /** Names of the store's tensors that are not in the checkpoint: the excluded ones, and those tied to one. */
  #leftOut(): string[] {
    const saved = new Set(this.tensors.map(({ name }) => name));
    return (this.#store?.tensors() ?? []).map(({ name }) => name).filter((name) => !saved.has(name));
  }

  /** Bytes of the raw space of {@link tensors}. */
  get rawByteLength(): number {
    // Not by laying them out, which checks every name: this runs while training waits.
    return this.tensors.reduce((sum, { dtype, shape, aliasOf }) => {
      if (aliasOf !== undefined) return sum;
      return sum + alignUp(elementCount(shape) * byteSizeOf(dtype), TENSOR_ALIGNMENT);
    }, 0);
  }

  /** Whether there are tensors that have to come from the GPU. */
  get isOnGpu(): boolean {
    return this.#moment !== undefined;
  }

  /** Has `listener` told how far {@link bytes} is, in the place of any other. */
  listen(listener: BytesListener): void {
    this.#listener = listener;
  }

  /**
   * The raw space of {@link tensors}, in pieces that are valid until the next one is asked for. Each call reads it anew, for an
   * engine that writes to several places; one at a time.
   */
  async *bytes(signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    this.#requireHeld();
    this.#listener?.onReading();
    if (this.#moment !== undefined) {
      for await (const piece of this.#moment.bytes(signal)) {
        // Somebody else's copy may be in the shadow memory by now.
        this.#requireHeld();
        yield piece;
      }
    }
    this.#listener?.onStaged();
    for (const { bytes } of this.#hostTensors) {
      yield bytes;
      yield PADDING.subarray(0, alignUp(bytes.byteLength, TENSOR_ALIGNMENT) - bytes.byteLength);
    }
    this.#listener?.onRead();
  }

  #requireHeld(): void {
    if (this.#isReleased) throw new CairnError("closed", "Cannot save a snapshot that was released");
  }

  /** @throws CairnError `device_lost` when the GPU is gone, after which nothing that was read back is to be trusted. */
  assertAlive(): void {
    this.#store?.gpu.assertAlive();
  }

  /** Gives the memory of the copy back. Safe to call twice. */
  release(): void {
    this.#isReleased = true;
    this.#moment?.release();
    this.#ownCopy?.close();
  }
}

/** The fields that Cairn keeps in a manifest's `user`: each only where there is something to say. */
export interface UserFields {
  readonly clientState?: StateValue;
  readonly excludedTensors?: readonly string[];
}

function userFields(clientState: StateValue, leftOut: readonly string[]): StateValue {
  return {
    ...clientState === undefined ? {} : { clientState },
    ...leftOut.length === 0 ? {} : { excludedTensors: leftOut },
  };
}

function gpuProvenance(store: TensorStore): Partial<Provenance> {
  const { gpu, variants } = store;
  return {
    adapter: gpu.adapterName,
    ...variants.size === 0 ? {} : { variants: Object.fromEntries(variants) },
  };
}
