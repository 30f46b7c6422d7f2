import { definedFields } from "../../base/defined_fields.ts";
import { requireAwaited } from "../../base/options/kind_of.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { byteSizeOf, type DType } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import type { TensorSpec } from "../../container/format/layout.ts";
import type { Manifest, Provenance } from "../../container/format/manifest.ts";
import type { ByteSink } from "../../container/source.ts";
import { alignUp, TENSOR_ALIGNMENT } from "../../base/checked.ts";
import type { StateValue } from "../../container/format/state_tree.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import { elementCount } from "../../tensor/shape.ts";
import type { TensorLike } from "../../tensor/tensor_like.ts";
import { TensorStore } from "../../tensor/tensor_store.ts";
import { castingSink, planCasts, type StoredDType } from "./cast_tensors.ts";
import { freezeState } from "./host_state.ts";
import { freezeTensors } from "./named_tensors.ts";
import type { HostBytes, StateInput } from "./state_types.ts";
import type { ModelCode } from "./model_code.ts";
import type { GpuChunkSink } from "./checkpoint_source.ts";
import { includedTensors, specOf } from "./included_tensors.ts";
import type { StreamedTensors } from "./streamed_tensors.ts";
import { StoreCopy } from "./store_copy.ts";
import type { Staging, StoreMoment } from "./store_moment.ts";

/** What a checkpoint is made of. */
export interface CheckpointState {
  /** Every tensor of it is saved. */
  readonly store?: TensorStore | undefined;
  /**
   * Tensors in memory by name, or numbers of such; they need no GPU. They are saved as those of a store are, so that
   * they can be loaded into one that has the names, and read one by one. For one process, not for several ranks.
   */
  readonly tensors?: Readonly<Record<string, TensorLike>> | undefined;
  /**
   * Tensors that are neither here nor in the store, read while it is written.
   *
   * @internal
   */
  readonly streamed?: StreamedTensors | undefined;
  /** Everything else that the run needs to go on: counters, histories, state of the data loader. */
  readonly state?: StateInput | undefined;
  /** Numbers by name, by which the best checkpoint is chosen. NaN and infinities are allowed, and never the best. */
  readonly metrics?: Readonly<Record<string, number>> | undefined;
  /** What is known of the run; the engine adds its run id, the tag and the time. */
  readonly provenance?: Partial<Provenance> | undefined;
  /** What the user wants to keep beside the state. */
  readonly clientState?: StateInput | undefined;
  /** Full names of tensors of the store to leave out, such as frozen parameters that come from elsewhere. */
  readonly excludedTensors?: Iterable<string> | undefined;
  /** The dtype that a tensor of the store is written with, where that is another one; loading casts it back. */
  readonly storedDType?: StoredDType | undefined;
  /** Text of the module that makes the model, kept for people to read; see `readModelCode`. */
  readonly modelCode?: ModelCode | undefined;
}

/** Every option of {@link CheckpointState}. */
export const CHECKPOINT_STATE: OptionNames<CheckpointState> = {
  store: true,
  tensors: true,
  streamed: true,
  state: true,
  metrics: true,
  provenance: true,
  clientState: true,
  excludedTensors: true,
  storedDType: true,
  modelCode: true,
};

/**
 * @throws TypeError for an invalid state, such as a store, or tensors by name without `state` around
 * them.
 */
export function requireCheckpointState(source: CheckpointState): void {
  if (source instanceof TensorStore) {
    throw new TypeError("Expected { store, state, … } to save, found a TensorStore; pass { store }");
  }
  checkOptions("What is saved", source, CHECKPOINT_STATE);
  requireAwaited("The store", source.store, "TensorStore.open()");
}

/**
 * How far the bytes of a {@link FrozenCheckpoint} are: the first of them are asked for (`reading`, which may happen
 * more than once); those that are not a copy were read, so that the store may change (`fixed`, at once where all are
 * a copy); those on the GPU were all read (`staged`); all of them were taken (`taken`).
 */
export type BytesPhase = "reading" | "fixed" | "staged" | "taken";

/** Told how far the bytes of a {@link FrozenCheckpoint} are. */
export interface BytesListener {
  /** They have got so far. */
  onPhase(phase: BytesPhase): void;
  /** So many more of them are on their way to the file. */
  onRead(byteLength: number): void;
}

const PADDING = new Uint8Array(TENSOR_ALIGNMENT);

/**
 * A {@link CheckpointState} at one moment: the tensors are a GPU copy in the queue, the rest was copied in the same
 * tick. Whatever happens to the live state afterwards does not change it. Only when the GPU has no memory for the
 * copy, {@link staging} says how much of it has to be read before the store may change.
 */
export class FrozenCheckpoint {
  /** All tensors in file order: what is streamed, those of the store, those in memory, then those of the host state. */
  readonly tensors: readonly TensorSpec[];
  /** What the file will say besides its tensors, as it was in the tick of the snapshot. */
  readonly manifest: Manifest;
  readonly #moment: StoreMoment | undefined;
  /** Those of the store, as they are written. */
  readonly #storedTensors: readonly TensorSpec[];
  readonly #hostTensors: readonly HostBytes[];
  readonly #streamed: StreamedTensors | undefined;
  readonly #store: TensorStore | undefined;
  readonly #ownCopy: StoreCopy | undefined;
  #isReleased = false;
  #listener: BytesListener | undefined;

  private constructor(source: CheckpointState, copy: StoreCopy | undefined, ownCopy: StoreCopy | undefined) {
    const { store, tensors = {}, state, clientState, metrics = {}, provenance = {}, storedDType } = source;
    const excluded = new Set(source.excludedTensors ?? []);
    const run = freezeState(state ?? {});
    const user = freezeState(clientState, "clientState");
    const named = freezeTensors(tensors, new Set(store?.tensors().map(({ name }) => name)));
    const casts = store === undefined || storedDType === undefined
      ? undefined
      : planCasts(includedTensors(store, excluded).map(specOf), storedDType);
    // Last, so that nothing is held when the state cannot be saved.
    this.#moment = store === undefined ? undefined : (copy ?? ownCopy)?.take(excluded);
    this.#hostTensors = [...named, ...run.tensors, ...user.tensors];
    this.#streamed = source.streamed;
    this.#store = store;
    this.#ownCopy = ownCopy;
    this.#storedTensors = casts?.tensors ?? this.#moment?.tensors ?? [];
    this.tensors = [
      ...source.streamed?.tensors ?? [],
      ...this.#storedTensors,
      ...this.#hostTensors.map(({ spec }) => spec),
    ];
    this.manifest = {
      kind: "checkpoint",
      state: run.state,
      metrics: { ...metrics },
      provenance: { ...provenance, ...store && gpuProvenance(store) },
      user: userFields({
        clientState: user.state,
        excludedTensors: this.#leftOut(),
        castFrom: casts?.castFrom ?? {},
        modelCode: source.modelCode,
      }),
    };
  }

  /**
   * Freezes `source` now.
   *
   * @param copy The shadow memory to use, which a caller that saves often keeps; otherwise it is allocated for this
   * save only.
   * @throws TypeError for a state that cannot be saved; CairnError when the GPU cannot copy.
   */
  static of(source: CheckpointState, copy?: StoreCopy): FrozenCheckpoint {
    requireCheckpointState(source);
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
    return rawBytesOf(this.tensors);
  }

  /**
   * Whether there are tensors that can be written once only.
   *
   * @internal
   */
  get isStreamed(): boolean {
    return this.#streamed !== undefined;
  }

  /** Whether there are tensors that have to come from the GPU. */
  get isOnGpu(): boolean {
    return this.#moment !== undefined;
  }

  /**
   * Where the tensors come from; nothing where there are none. @throws CairnError when the GPU's memory could not be
   * allocated.
   */
  async staging(): Promise<Staging> {
    const { shadowBytes, streamedBytes } = await this.#moment?.staging() ??
      { shadowBytes: 0, streamedBytes: 0 };
    return { shadowBytes, streamedBytes: streamedBytes + rawBytesOf(this.#streamed?.tensors ?? []) };
  }

  /**
   * Has `listener` told how far {@link writeTo} is, instead of any other.
   *
   * @internal
   */
  listen(listener: BytesListener): void {
    this.#listener = listener;
  }

  /**
   * The GPU that its tensors are on as they are written; `undefined` where none are there, not with the dtype of the
   * file, or behind what is streamed.
   *
   * @internal
   */
  get encodingGpu(): GpuDevice | undefined {
    const isFirst = this.#streamed === undefined && this.#moment?.tensors === this.#storedTensors;
    return isFirst ? this.#store?.gpu : undefined;
  }

  /**
   * Writes the raw space of {@link tensors} to `sink`. Each call reads it anew, for a group of engines; one at a time.
   *
   * @throws CairnError `closed` once it was released; what reading from the GPU failed with; what `sink` threw.
   */
  writeTo(sink: ByteSink, signal?: AbortSignal): Promise<void>;
  /**
   * The same, with chunks of it encoded.
   *
   * @param encoded Where chunks go that the {@link encodingGpu} is to encode. Unless given, or without such a GPU,
   * all of it is raw.
   *
   * @internal
   */
  writeTo(sink: ByteSink, signal?: AbortSignal, encoded?: GpuChunkSink): Promise<void>;
  /** @internal What both do. */
  async writeTo(sink: ByteSink, signal?: AbortSignal, encoded?: GpuChunkSink): Promise<void> {
    this.#requireHeld();
    const listener = this.#listener;
    listener?.onPhase("reading");
    await this.#streamed?.writeTo(sink, signal, (byteLength) => listener?.onRead(byteLength));
    if (this.#moment === undefined) listener?.onPhase("fixed");
    else {
      await this.#writeMoment(this.#moment, sink, signal, encoded);
      this.#moment.askGuards();
    }
    listener?.onPhase("staged");
    for (const { bytes } of this.#hostTensors) {
      const paddedLength = alignUp(bytes.byteLength, TENSOR_ALIGNMENT);
      listener?.onRead(paddedLength);
      await sink.write(bytes);
      await sink.write(PADDING.subarray(0, paddedLength - bytes.byteLength));
    }
    listener?.onPhase("taken");
  }

  async #writeMoment(
    moment: StoreMoment,
    sink: ByteSink,
    signal: AbortSignal | undefined,
    encoded: GpuChunkSink | undefined,
  ): Promise<void> {
    const listener = this.#listener;
    const onRead = (byteLength: number): void => {
      // Another copy may be in the shadow memory by now.
      this.#requireHeld();
      listener?.onRead(byteLength);
    };
    const stored: ByteSink = {
      write: async (piece) => {
        onRead(piece.byteLength);
        await sink.write(piece);
      },
    };
    const isCast = moment.tensors !== this.#storedTensors;
    await moment.writeTo(isCast ? castingSink(stored, moment.tensors, this.#storedTensors) : stored, {
      signal,
      onFixed: () => listener?.onPhase("fixed"),
      encoded: isCast ? undefined : encoded && {
        ...encoded,
        writeEncoded: async (chunk) => {
          onRead(chunk.rawLength);
          await encoded.writeEncoded(chunk);
        },
      },
    });
  }

  #requireHeld(): void {
    if (this.#isReleased) throw new CairnError("closed", "Cannot save a snapshot that was released");
  }

  /**
   * Throws unless the GPU that the tensors came from is still there.
   *
   * @throws CairnError `device_lost` when the GPU is gone, after which nothing that was read back can be trusted.
   *
   * @internal
   */
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

function rawBytesOf(tensors: readonly TensorSpec[]): number {
  // Not by laying them out, which checks every name: this runs while training waits.
  return tensors.reduce((sum, { dtype, shape, aliasOf }) => {
    if (aliasOf !== undefined) return sum;
    return sum + alignUp(elementCount(shape) * byteSizeOf(dtype), TENSOR_ALIGNMENT);
  }, 0);
}

/** The fields that Cairn keeps in a manifest's `user`: each only where there is something to say. */
export interface UserFields {
  readonly clientState?: StateValue | undefined;
  readonly excludedTensors?: readonly string[] | undefined;
  /** By name, the dtype that a tensor had in memory, where it was written with another one. */
  readonly castFrom?: Readonly<Record<string, DType>> | undefined;
  readonly modelCode?: ModelCode | undefined;
}

function userFields(
  { clientState, excludedTensors, castFrom, modelCode }: {
    clientState: StateValue;
    excludedTensors: readonly string[];
    castFrom: Readonly<Record<string, DType>>;
    modelCode: ModelCode | undefined;
  },
): StateValue {
  return definedFields<{ [key: string]: StateValue }>({
    clientState,
    excludedTensors: excludedTensors.length === 0 ? undefined : excludedTensors,
    castFrom: Object.keys(castFrom).length === 0 ? undefined : castFrom,
    modelCode: modelCode && { module: modelCode.module, source: modelCode.source },
  });
}

function gpuProvenance(store: TensorStore): Partial<Provenance> {
  const { gpu, variants } = store;
  return definedFields<Partial<Provenance>>({
    adapter: gpu.adapterName,
    variants: variants.size === 0 ? undefined : Object.fromEntries(variants),
  });
}
