import type { DType } from "../base/dtype.ts";
import type { BufferRange } from "../gpu/buffer_range.ts";
import type { LevelsSource } from "./levels_encoder.ts";

/** A piece of the raw space that becomes one chunk: what the container's plan says of it. */
export interface RawCut {
  /** Where it begins in the raw space, a multiple of 256. */
  readonly rawOffset: number;
  /** Bytes before compression. */
  readonly rawLength: number;
  /** The dtype of every element in it. */
  readonly dtype: DType;
}

/** Neighbouring chunks that go the same way. */
export interface CutSpan {
  readonly firstCut: number;
  readonly cuts: number;
  /** What to give to a `LevelsEncoder`; `undefined` for chunks that have to be read back raw. */
  readonly source: LevelsSource | undefined;
  /** Where the raw bytes are. */
  readonly ranges: readonly BufferRange[];
}

/**
 * Divides chunks into what the GPU can encode at once and what it cannot: chunks that lie across two buffers, or that
 * `isForGpu` leaves out.
 *
 * @param cuts All chunks, in order and without gaps, from raw offset 0 on.
 * @param ranges The raw space, one range after the other.
 * @param maxBytes The most raw bytes of one source, such as the adapter's `maxStorageBufferBindingSize`.
 * @throws RangeError when there are more bytes in the cuts than in the ranges.
 */
export function levelsSources<C extends RawCut>(
  cuts: readonly C[],
  ranges: readonly BufferRange[],
  maxBytes: number,
  isForGpu: (cut: C) => boolean = () => true,
): CutSpan[] {
  const spans: CutSpan[] = [];
  const take = piecesOf(ranges);
  for (const [index, cut] of cuts.entries()) {
    const taken = take(cut.rawLength);
    const [range] = taken;
    const isWhole = taken.length === 1 && range !== undefined && range.offset % 256 === 0;
    const source = isWhole && isForGpu(cut) && range.size <= maxBytes
      ? { range, dtype: cut.dtype, chunkBytes: cut.rawLength }
      : undefined;
    const last = spans.at(-1);
    const joined = last && join(last, { firstCut: index, cuts: 1, source, ranges: taken }, maxBytes);
    if (joined === undefined) spans.push({ firstCut: index, cuts: 1, source, ranges: taken });
    else spans[spans.length - 1] = joined;
  }
  return spans;
}

/** Both as one, or `undefined` where they have to stay two. */
function join(before: CutSpan, { source, ranges }: CutSpan, maxBytes: number): CutSpan | undefined {
  const { firstCut, cuts, source: first } = before;
  if (source === undefined && first === undefined) {
    return { firstCut, cuts: cuts + 1, source, ranges: joinRanges(before.ranges, ranges) };
  }
  if (source === undefined || first === undefined || source.dtype !== first.dtype) return undefined;
  const { buffer, offset, size } = first.range;
  const isNext = source.range.buffer === buffer && source.range.offset === offset + size;
  // All chunks of a source but the last are equally long.
  const isAsLong = size === cuts * first.chunkBytes && source.chunkBytes <= first.chunkBytes;
  const bytes = size + source.range.size;
  if (!isNext || !isAsLong || bytes > maxBytes) return undefined;
  const range = { buffer, offset, size: bytes };
  return { firstCut, cuts: cuts + 1, source: { ...first, range }, ranges: [range] };
}

/** One list after the other; where one goes on where the other ends, as one range. */
export function joinRanges(before: readonly BufferRange[], after: readonly BufferRange[]): BufferRange[] {
  const last = before.at(-1);
  const [next, ...others] = after;
  const isNext = last !== undefined && last.buffer === next?.buffer &&
    last.offset + last.size === next.offset;
  if (!isNext) return [...before, ...after];
  return [...before.slice(0, -1), { ...last, size: last.size + next.size }, ...others];
}

/** Takes so many bytes from the front of the ranges, in as few pieces as that can be. */
function piecesOf(ranges: readonly BufferRange[]): (byteLength: number) => BufferRange[] {
  let index = 0;
  let used = 0;
  return (byteLength) => {
    const pieces: BufferRange[] = [];
    for (let missing = byteLength; missing > 0;) {
      const range = ranges[index];
      if (range === undefined) throw new RangeError(`${missing} bytes of a chunk are in no range`);
      const size = Math.min(missing, range.size - used);
      if (size > 0) pieces.push({ buffer: range.buffer, offset: range.offset + used, size });
      missing -= size;
      used += size;
      if (used < range.size) continue;
      index++;
      used = 0;
    }
    return pieces;
  };
}
