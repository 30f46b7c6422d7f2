import { alignUp, TENSOR_ALIGNMENT } from "../base/checked.ts";
import { CairnError } from "../base/errors.ts";
import { bindingStart, mostBindingBytes } from "../gpu/binding_parts.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import { layoutTensors, type TensorRecord, type TensorSpec } from "../container/format/layout.ts";

/** A tensor with its place in the slabs of its group. */
export interface SlabTensor extends TensorRecord {
  /** Index of its slab in the group. */
  readonly slab: number;
  /** Where its bytes start in the slab, a multiple of 256. At the slab's end for an empty tensor. */
  readonly offset: number;
}

/** Where the tensors of a group live: slab sizes in bytes (multiples of 256), and each tensor's place. */
export interface SlabLayout {
  readonly slabs: readonly number[];
  readonly tensors: readonly SlabTensor[];
}

/**
 * Places tensors in order into slabs of at most `slabBytes`; a larger tensor has a slab of its own. The slabs one after
 * the other are exactly the raw space of `layoutTensors`, cut between tensors: that is why a checkpoint is the slabs in
 * order.
 *
 * A group that has only empty tensors has one slab of 0 bytes.
 *
 * @param largest The most bytes of a tensor.
 * @throws CairnError `limit_exceeded` for a tensor larger than that; TypeError or RangeError for a bad spec.
 */
export function layoutSlabs(
  specs: readonly TensorSpec[],
  slabBytes: number,
  largest: number = slabBytes,
): SlabLayout {
  const { tensors } = layoutTensors(specs);
  /** Where each slab starts and ends in the raw space. */
  const slabs: { start: number; end: number }[] = [];
  const slabOf = new Map<string, number>();
  const placed = tensors.map((tensor): SlabTensor => {
    const { name, rawOffset, byteLength, aliasOf } = tensor;
    // An alias lies where its target lies, which may be slabs ago.
    if (byteLength > largest) throw tooLarge(tensor, largest);
    const slab = (aliasOf === undefined ? undefined : slabOf.get(aliasOf)) ??
      slabFor(tensor, slabs, slabBytes);
    const span = slabs[slab] ?? { start: rawOffset, end: rawOffset };
    span.end = Math.max(span.end, alignUp(rawOffset + byteLength, TENSOR_ALIGNMENT));
    slabOf.set(name, slab);
    return { ...tensor, slab, offset: rawOffset - span.start };
  });
  return { slabs: slabs.map(({ start, end }) => end - start), tensors: placed };
}

/** The last slab if the tensor still fits there, else a new one. */
function slabFor(tensor: TensorRecord, slabs: { start: number; end: number }[], slabBytes: number): number {
  const { rawOffset, byteLength } = tensor;
  const last = slabs.at(-1);
  if (last !== undefined && rawOffset + byteLength <= last.start + slabBytes) return slabs.length - 1;
  return slabs.push({ start: rawOffset, end: rawOffset }) - 1;
}

function tooLarge({ name, byteLength }: TensorRecord, limit: number): CairnError {
  return new CairnError(
    "limit_exceeded",
    `Tensor "${name}" has ${byteLength} bytes, but a slab holds at most ${limit}: it is one GPU buffer, and the ` +
      "adapter has no larger ones (maxBufferSize); split the tensor into smaller ones",
    { details: { tensor: name, limit, value: byteLength } },
  );
}

/** The most bytes of a slab that kernels bind as a whole, a multiple of 256. */
export function largestSlab(gpu: GpuDevice): number {
  return Math.min(mostBindingBytes(gpu), largestTensor(gpu));
}

/** The most bytes of a tensor, a multiple of 256: what the adapter binds no more of at once is bound in parts. */
export function largestTensor({ limits }: GpuDevice): number {
  return bindingStart(limits.maxBufferSize);
}
