import type { DType } from "../base/dtype.ts";
import type { TensorSpec } from "../container/format/layout.ts";
import type { BufferRange } from "../gpu/buffer_range.ts";
import { BufferUsage } from "../gpu/constants.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import type { Shape } from "./shape.ts";
import { largestTensor, layoutSlabs, type SlabLayout } from "./slab_layout.ts";

/** A tensor of a store. Its memory belongs to the store. */
export interface StoredTensor {
  /** Full name: "model.0.weight". */
  readonly name: string;
  /** Name of its group: "model". */
  readonly group: string;
  /** The dtype of its elements. */
  readonly dtype: DType;
  /** Sizes of the dimensions, outermost first; `[]` is a scalar. */
  readonly shape: Shape;
  /** Bytes of its elements. */
  readonly byteLength: number;
  /** Index of its slab in its group. */
  readonly slab: number;
  /** Where its bytes start in the slab, a multiple of 256. */
  readonly offset: number;
  /** Its bytes on the GPU. The size may be no multiple of 4; the memory up to the next multiple of 256 is its own. */
  readonly range: BufferRange;
  /** Full name of the tensor that holds the bytes, where this one is tied to it. */
  readonly aliasOf?: string | undefined;
}

/** One large GPU buffer that tensors share. */
export interface Slab {
  /** Owned by the store, with the usages STORAGE, COPY_SRC and COPY_DST. */
  readonly buffer: GPUBuffer;
  /** A multiple of 256; 0 for a group of empty tensors, of which nothing is bound or copied. */
  readonly byteLength: number;
}

const SLAB_USAGE = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;

/**
 * Tensors that belong together, such as a model's parameters or one moment of an optimiser, in slabs of their own.
 * The slabs in order are the tensors in order, each at a multiple of 256, gaps zero.
 */
export class TensorGroup {
  /** The first part of the full names of its tensors. */
  readonly name: string;
  /** In order. A tensor lies in one of them, never across two. */
  readonly slabs: readonly Slab[];
  /** In the order in which they were defined, aliases included. */
  readonly tensors: readonly StoredTensor[];
  /** Bytes of all slabs together. */
  readonly byteLength: number;

  private constructor(name: string, slabs: readonly Slab[], tensors: readonly StoredTensor[]) {
    this.name = name;
    this.slabs = slabs;
    this.tensors = tensors;
    this.byteLength = slabs.reduce((sum, slab) => sum + slab.byteLength, 0);
  }

  /**
   * Lays `specs` out and allocates zero-filled slabs. The names of the specs are without the group.
   * @throws what `layoutSlabs` and `GpuDevice.createBuffer` throw; then nothing is left allocated.
   */
  static allocate(
    gpu: GpuDevice,
    name: string,
    specs: readonly TensorSpec[],
    slabBytes: number,
  ): TensorGroup {
    const layout = layoutSlabs(specs.map((spec) => inGroup(name, spec)), slabBytes, largestTensor(gpu));
    const slabs = allocateSlabs(gpu, name, layout);
    const tensors = layout.tensors.flatMap((placed): StoredTensor[] => {
      const slab = slabs[placed.slab];
      if (slab === undefined) return [];
      const { rawOffset: _, ...tensor } = placed;
      const range = { buffer: slab.buffer, offset: placed.offset, size: placed.byteLength };
      return [{ ...tensor, group: name, range }];
    });
    return new TensorGroup(name, slabs, tensors);
  }

  /** The specs that gave this group, names without the group: what another group with the same layout is made of. */
  specs(): TensorSpec[] {
    const shortName = (full: string): string => full.slice(this.name.length + 1);
    return this.tensors.map(({ name, dtype, shape, aliasOf }) => {
      const spec = { name: shortName(name), dtype, shape };
      return aliasOf === undefined ? spec : { ...spec, aliasOf: shortName(aliasOf) };
    });
  }
}

function inGroup(group: string, spec: TensorSpec): TensorSpec {
  const name = `${group}.${spec.name}`;
  return spec.aliasOf === undefined
    ? { ...spec, name }
    : { ...spec, name, aliasOf: `${group}.${spec.aliasOf}` };
}

function allocateSlabs(gpu: GpuDevice, name: string, layout: SlabLayout): Slab[] {
  const slabs: Slab[] = [];
  try {
    for (const byteLength of layout.slabs) {
      const buffer = gpu.createBuffer(`${name} slab ${slabs.length}`, byteLength, SLAB_USAGE);
      slabs.push({ buffer, byteLength });
    }
  } catch (error) {
    for (const { buffer } of slabs) gpu.destroyBuffer(buffer);
    throw error;
  }
  return slabs;
}
