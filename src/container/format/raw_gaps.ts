import { isAllZero } from "../../base/little_endian.ts";
import type { RawLayout } from "./layout.ts";

/** Bytes of the raw space that belong to no tensor: padding up to the next multiple of 256. They are zero. */
export interface RawGap {
  readonly start: number;
  readonly end: number;
}

/** All gaps of a layout, in order. */
export function rawGaps(layout: Pick<RawLayout, "tensors" | "rawByteLength">): RawGap[] {
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

/**
 * Finds gaps that are not zero in chunks of the raw space, which come in order. Gaps never cross from one chunk to
 * the next.
 */
export class GapCheck {
  readonly #gaps: readonly RawGap[];
  #next = 0;

  constructor(layout: Pick<RawLayout, "tensors" | "rawByteLength">) {
    this.#gaps = rawGaps(layout);
  }

  /**
   * The gaps up to `end` that are not zero in `raw`, the bytes from `rawOffset` on; none where `raw` could not be
   * read.
   */
  *damagedUpTo(end: number, rawOffset: number, raw: Uint8Array | undefined): Generator<RawGap> {
    for (; (this.#gaps[this.#next]?.start ?? end) < end; this.#next++) {
      const gap = this.#gaps[this.#next] as RawGap;
      if (raw !== undefined && !isAllZero(raw.subarray(gap.start - rawOffset, gap.end - rawOffset))) {
        yield gap;
      }
    }
  }
}
