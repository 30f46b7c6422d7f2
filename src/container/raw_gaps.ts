import type { RawLayout } from "./layout.ts";

/** Bytes of the raw space that belong to no tensor: padding up to the next multiple of 256. They are zero. */
export interface RawGap {
  readonly start: number;
  readonly end: number;
}

/** All gaps of a layout, in order. */
export function rawGaps(layout: RawLayout): RawGap[] {
  const gaps: RawGap[] = [];
  let end = 0;
  for (const tensor of layout.tensors) {
    if (tensor.aliasOf !== undefined) continue;
    if (tensor.rawOffset > end) gaps.push({ start: end, end: tensor.rawOffset });
    end = tensor.rawOffset + tensor.byteLength;
  }
  if (layout.rawByteLength > end) gaps.push({ start: end, end: layout.rawByteLength });
  return gaps;
}
