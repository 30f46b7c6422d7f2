import { alignUp, TENSOR_ALIGNMENT } from "../base/checked.ts";
import { bindingParts } from "../gpu/binding_parts.ts";
import type { StoredTensor } from "./tensor_group.ts";

/**
 * A part of a slab: whole tensors with the padding behind each, or a part of a tensor. Its size is a multiple of 256.
 */
export interface SlabRange {
  /** Index of the slab in its group: a group that mirrors this one has the range there, too. */
  readonly slab: number;
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly byteLength: number;
}

/**
 * Memory of tensors that are given in their order: as few ranges as there are gaps, one for a slab of which none is
 * left out. Tied tensors have no memory of their own, and empty ones none.
 *
 * @param most The most bytes of a range; larger ones are cut. Default: as many as there are.
 */
export function slabRanges(tensors: Iterable<StoredTensor>, most: number = Infinity): SlabRange[] {
  const ranges: { -readonly [Key in keyof SlabRange]: SlabRange[Key] }[] = [];
  for (const { slab, range: { buffer }, offset, byteLength, aliasOf } of tensors) {
    if (aliasOf !== undefined || byteLength === 0) continue;
    const end = offset + alignUp(byteLength, TENSOR_ALIGNMENT);
    const last = ranges.at(-1);
    if (last?.buffer === buffer && last.offset + last.byteLength === offset) {
      last.byteLength = end - last.offset;
    } else {
      ranges.push({ slab, buffer, offset, byteLength: end - offset });
    }
  }
  return ranges.flatMap((range) =>
    bindingParts(range.byteLength, most).map(({ offset, byteLength }) => {
      return { ...range, offset: range.offset + offset, byteLength };
    })
  );
}
