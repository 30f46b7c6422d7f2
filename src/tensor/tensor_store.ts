import { requireAwaited } from "../base/options/kind_of.ts";
import { checkOptions, type OptionNames } from "../base/options/options.ts";
import { alignUp } from "../base/checked.ts";
import { CairnError } from "../base/errors.ts";
import { TENSOR_SPEC, type TensorSpec } from "../container/format/layout.ts";
import { GPU_OPTIONS, type GpuOptions } from "../gpu/find_gpu.ts";
import { GpuDevice } from "../gpu/gpu_device.ts";
import { inErrorScopes } from "../gpu/error_scopes.ts";
import { HostTensor } from "./host_tensor.ts";
import { largestSlab } from "./slab_layout.ts";
import { allocateAgain, freeSlabs, slabBytesFor } from "./slab_memory.ts";
import { type TensorLike, tensorOf } from "./tensor_like.ts";
import { formatShape, shapesEqual } from "./shape.ts";
import { type StoredTensor, TensorGroup } from "./tensor_group.ts";

/** Options of {@link TensorStore.on}. */
export interface SlabOptions {
  /**
   * The most bytes of one GPU buffer, a multiple of 256. Default 128 MiB, less where the adapter binds less.
   * A tensor that is larger has a buffer of its own, as large as the adapter has them; kernels bind it in parts.
   */
  slabBytes?: number | undefined;
}

/** Every option of {@link SlabOptions}. */
export const SLAB_OPTIONS: OptionNames<SlabOptions> = { slabBytes: true };

/** Options of {@link TensorStore.open}. */
export interface TensorStoreOptions extends GpuOptions, SlabOptions {}

/** Every option of {@link TensorStoreOptions}. */
export const TENSOR_STORE_OPTIONS: OptionNames<TensorStoreOptions> = { ...GPU_OPTIONS, ...SLAB_OPTIONS };

/** What a store holds. */
export interface TensorStoreStats {
  /** Tensors of all groups, aliases included. */
  readonly tensors: number;
  /** GPU buffers that hold them. */
  readonly slabs: number;
  /** Bytes of all slabs. */
  readonly bytes: number;
  /** Live buffers of the device, the ones of others on it included. */
  readonly liveBuffers: number;
}

/** Looks at the bytes of a tensor at the moment of a checkpoint, and throws when it should not be committed. */
export type TensorGuard = (bytes: Uint8Array) => void;

/**
 * All tensors of a run that outlive a step (parameters, optimiser moments), as named parts of a few large GPU
 * buffers.
 *
 * The layout is the point: moments lie as the parameters do, so an optimiser is one dispatch a slab, a snapshot is
 * one copy a slab, and a checkpoint is the slabs in order. Tensors are never disposed one by one: the store owns all
 * memory until `close()`.
 *
 * @example
 * ```ts
 * const store = await TensorStore.open();
 * store.define("model", [{ name: "weight", dtype: "f32", shape: [2, 2] }]);
 * store.write({ "model.weight": HostTensor.from([[1, 2], [3, 4]]) });
 * const { "model.weight": weight } = Object.fromEntries(await store.read(["model.weight"]));
 * await store.close();
 * ```
 */
export class TensorStore {
  /** Kernel variants that were chosen by measuring. Part of a run's state: another variant rounds differently. */
  readonly variants: Map<string, string> = new Map();
  #gpu: GpuDevice;
  #slabBytes: number;
  /** How the device was opened, where the store did that itself. */
  readonly #openedWith: GpuOptions | undefined;
  #ownsGpu: boolean;
  readonly #groups = new Map<string, TensorGroup>();
  readonly #tensors = new Map<string, StoredTensor>();
  readonly #guards = new Map<string, TensorGuard>();
  /** Resolves when it is known of all groups whether they have their memory. */
  #allocating: Promise<void> = Promise.resolve();
  #shortage: CairnError | undefined;
  #isClosed = false;

  private constructor(gpu: GpuDevice, slabBytes: number, openedWith: GpuOptions | undefined) {
    this.#gpu = gpu;
    this.#slabBytes = slabBytes;
    this.#openedWith = openedWith;
    this.#ownsGpu = openedWith !== undefined;
  }

  /**
   * Opens a store on a GPU device of its own: see {@link GpuOptions} for where that comes from.
   * @throws CairnError `no_webgpu` or `no_adapter` with what to install.
   */
  static async open(options: TensorStoreOptions = {}): Promise<TensorStore> {
    const { slabBytes, ...where } = checkOptions("TensorStore.open()", options, TENSOR_STORE_OPTIONS);
    const gpu = await GpuDevice.open(where);
    try {
      return new TensorStore(gpu, slabBytesFor(gpu, slabBytes), where);
    } catch (error) {
      await gpu.close();
      throw error;
    }
  }

  /** A store on a device that is open already, and stays open when the store is closed. */
  static on(gpu: GpuDevice, options: SlabOptions = {}): TensorStore {
    checkOptions("TensorStore.on()", options, SLAB_OPTIONS);
    requireAwaited("The device", gpu, "GpuDevice.open()");
    return new TensorStore(gpu, slabBytesFor(gpu, options.slabBytes), undefined);
  }

  /** The device that holds the tensors; another one after {@link TensorStore.rebuild}. */
  get gpu(): GpuDevice {
    return this.#gpu;
  }

  /** The most bytes of one slab. */
  get slabBytes(): number {
    return this.#slabBytes;
  }

  /**
   * Whether {@link TensorStore.rebuild} can open a device by itself: the store did so before.
   *
   * @internal
   */
  get canReopen(): boolean {
    return this.#openedWith !== undefined && this.#openedWith.device === undefined;
  }

  /**
   * Adds a group of zero-filled tensors. A tensor's full name is the group's, a dot, and the spec's name; `aliasOf`
   * names a tensor of the same group whose memory it shares.
   * @throws TypeError when the group or a tensor of that name exists, or a spec is wrong.
   * @throws CairnError `limit_exceeded` for a tensor that is larger than a buffer of the adapter, `out_of_memory`;
   * where it is found later that there is no memory, the next call throws that.
   */
  define(group: string, specs: readonly TensorSpec[]): TensorGroup {
    this.#assertOpen();
    if (this.#groups.has(group)) {
      throw new TypeError(
        `There is a group "${group}" already; give this one another name, or another store (a trainer needs its own)`,
      );
    }
    for (const spec of specs) {
      checkOptions(`A tensor of "${group}"`, spec, TENSOR_SPEC, '{ name: "w", dtype: "f32", shape: [2] }');
    }
    // "a" + "b.c" and "a.b" + "c" are different groups, but the same tensor.
    const taken = specs.find(({ name }) => this.#tensors.has(`${group}.${name}`));
    if (taken !== undefined) throw new TypeError(`There is a tensor "${group}.${taken.name}" already`);
    const { gpu, slabBytes } = this;
    const { value: defined, error } = inErrorScopes(
      gpu.device,
      `group ${group}`,
      () => TensorGroup.allocate(gpu, group, specs, slabBytes),
    );
    this.#allocating = gpu.waitFor(Promise.all([error, this.#allocating])).then(([shortage]) => {
      this.#shortage ??= shortage;
    });
    this.#groups.set(group, defined);
    for (const tensor of defined.tensors) this.#tensors.set(tensor.name, tensor);
    return defined;
  }

  /**
   * Resolves when it is known that every group that was defined has its memory.
   *
   * @throws CairnError `out_of_memory` where one has not, as everything does that uses tensors, until it is removed.
   * @internal
   */
  async allocated(): Promise<void> {
    await this.#allocating;
    this.#assertOpen();
  }

  /**
   * Frees groups and forgets them, with the guards of their tensors.
   *
   * @internal
   */
  remove(groups: readonly string[]): void {
    this.#shortage = undefined;
    for (const group of groups.flatMap((name) => this.#groups.get(name) ?? [])) {
      for (const { name } of group.tensors) {
        this.#tensors.delete(name);
        this.#guards.delete(name);
      }
      this.#groups.delete(group.name);
      freeSlabs(this.gpu, [group]);
    }
  }

  /** Adds a group that lies exactly as the group `of` does, zero-filled: `model.w` gets a twin `optimizer.m.w`. */
  mirror(group: string, of: string): TensorGroup {
    return this.define(group, this.group(of).specs());
  }

  /**
   * Has `guard` look at the tensor whenever a checkpoint of the store is made, even one that leaves the tensor out:
   * what it throws fails the save before anything is committed.
   *
   * @throws TypeError when there is no tensor of this full name.
   * @internal
   */
  guard(name: string, guard: TensorGuard): void {
    this.#guards.set(this.tensor(name).name, guard);
  }

  /**
   * Guards by the tensors that they look at.
   *
   * @internal
   */
  get guards(): ReadonlyMap<string, TensorGuard> {
    return this.#guards;
  }

  /**
   * The group of this name.
   *
   * @throws TypeError when there is no such group.
   */
  group(name: string): TensorGroup {
    const group = this.#groups.get(name);
    if (group === undefined) {
      throw new TypeError(`There is no group "${name}"; there is ${quoted(this.#groups.keys())}`);
    }
    return group;
  }

  /** All groups, in the order in which they were defined. */
  groups(): readonly TensorGroup[] {
    return [...this.#groups.values()];
  }

  /** Whether there is a tensor of this full name. */
  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /**
   * The tensor of this full name, such as "model.0.weight".
   *
   * @throws TypeError when there is no tensor of this full name.
   */
  tensor(name: string): StoredTensor {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) {
      throw new TypeError(`There is no tensor "${name}"; there is ${quoted(this.#tensors.keys())}`);
    }
    return tensor;
  }

  /** All tensors, in the order of the groups and of their specs, aliases included. */
  tensors(): readonly StoredTensor[] {
    return [...this.#tensors.values()];
  }

  /**
   * Copies values into tensors, by full name, in one batch, before anything that is submitted later. Numbers in nested
   * arrays become what the tensor is; a typed array may be flat.
   * @throws TypeError for an unknown name, and for nested arrays of different lengths; CairnError `shape_mismatch` or
   * `dtype_mismatch`. Then nothing was written.
   */
  write(values: Readonly<Record<string, TensorLike>>): void {
    this.#assertOpen();
    const writes = Object.entries(values).map(([name, given]) => {
      const tensor = this.tensor(name);
      const value = tensorOf(given, `"${name}"`, tensor);
      checkFits(tensor, value);
      return { range: tensor.range, bytes: value.bytes };
    });
    for (const { range, bytes } of writes) this.gpu.write(range.buffer, range.offset, bytes);
    // WebGPU keeps its copies of the bytes until a submit.
    this.gpu.submit([]);
  }

  /**
   * Brings tensors to the host, by full name, in one batch. The caller owns the result.
   * @throws TypeError for an unknown name; CairnError `device_lost` when the GPU is gone.
   */
  async read(names: readonly string[]): Promise<Map<string, HostTensor>> {
    this.#assertOpen();
    const tensors = names.map((name) => this.tensor(name));
    const ranges = tensors.map(({ range }) => ({ ...range, size: alignUp(range.size, 4) }));
    const read = await this.gpu.read(ranges);
    return new Map(tensors.map(({ name, dtype, shape, byteLength }, i) => {
      const bytes = (read[i] ?? new Uint8Array()).subarray(0, byteLength);
      return [name, HostTensor.fromBytes(bytes, dtype, shape)];
    }));
  }

  /**
   * Puts the store on another device, after the one it was on was lost: the same groups with the same tensors, all of
   * them **zero**, since a lost device takes its memory along. Load a checkpoint into it next. Memory ranges and
   * groups that were asked for before belong to the lost device, and what was compiled for it has to be compiled
   * anew; a `Trainer` does all that in `recover`.
   *
   * @param gpu An open device, which stays the caller's. Unless given, one is opened as `open` did, and the old one
   * is closed.
   * @throws TypeError without a device where the store did not open its own; CairnError `no_adapter` when there is
   * none by now, `closed`, `limit_exceeded`. Then nothing has changed.
   */
  async rebuild(gpu?: GpuDevice): Promise<void> {
    this.#assertNotClosed();
    if (gpu === undefined && !this.canReopen) {
      throw new TypeError(
        "The store did not open its device, so it cannot open another: give rebuild() one, as GpuDevice.open() does",
      );
    }
    if (gpu === this.#gpu) {
      throw new TypeError("The store is on that device already; give rebuild() another one");
    }
    const next = gpu ?? await GpuDevice.open(this.#openedWith);
    try {
      this.#assertNotClosed();
      await this.#moveTo(next, gpu === undefined);
    } catch (error) {
      if (gpu === undefined) await next.close();
      throw error;
    }
  }

  /** @param owns Whether `next` was opened here. */
  async #moveTo(next: GpuDevice, owns: boolean): Promise<void> {
    const slabBytes = Math.min(this.slabBytes, largestSlab(next));
    const groups = await allocateAgain(next, this.groups(), slabBytes);
    const before = { gpu: this.#gpu, owned: this.#ownsGpu, groups: this.groups() };
    this.#gpu = next;
    this.#slabBytes = slabBytes;
    this.#ownsGpu = owns;
    for (const group of groups) {
      this.#groups.set(group.name, group);
      for (const tensor of group.tensors) this.#tensors.set(tensor.name, tensor);
    }
    freeSlabs(before.gpu, before.groups);
    if (before.owned) await before.gpu.close();
  }

  /** What the store holds now. */
  stats(): TensorStoreStats {
    const groups = this.groups();
    return {
      tensors: this.#tensors.size,
      slabs: groups.reduce((sum, group) => sum + group.slabs.length, 0),
      bytes: groups.reduce((sum, group) => sum + group.byteLength, 0),
      liveBuffers: this.gpu.counters.buffers,
    };
  }

  /** Frees the slabs, and closes the device if `open` opened it. Safe to call twice. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    freeSlabs(this.gpu, this.groups());
    this.#groups.clear();
    this.#tensors.clear();
    if (this.#ownsGpu) await this.gpu.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #assertOpen(): void {
    this.#assertNotClosed();
    // What has no memory is invalid, and so are commands with it: that error is said first.
    if (this.#shortage !== undefined) throw this.#shortage;
    this.gpu.assertAlive();
  }

  #assertNotClosed(): void {
    if (!this.#isClosed) return;
    throw new CairnError("closed", "Cannot use the tensor store: it was closed; open a new one");
  }
}

function checkFits(tensor: StoredTensor, value: HostTensor): void {
  const { name, dtype, shape } = tensor;
  const details = { tensor: name };
  if (value.dtype !== dtype) {
    const message = `Cannot write tensor "${name}": it has the dtype ${dtype}, and the value ${value.dtype}`;
    throw new CairnError("dtype_mismatch", message, { details });
  }
  if (!shapesEqual(value.shape, shape)) {
    const message = `Cannot write tensor "${name}": it has the shape ${formatShape(shape)}, and the value ` +
      formatShape(value.shape);
    throw new CairnError("shape_mismatch", message, { details });
  }
}

/** For messages: the first few names of many. */
function quoted(names: Iterable<string>): string {
  const all = [...names].map((name) => `"${name}"`);
  if (all.length === 0) return "none";
  return all.length <= 8 ? all.join(", ") : `${all.slice(0, 8).join(", ")} and ${all.length - 8} more`;
}
