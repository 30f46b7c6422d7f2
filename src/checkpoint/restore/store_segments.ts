import { alignUp, TENSOR_ALIGNMENT } from "../../base/checked.ts";
import type { TensorRecord } from "../../container/format/layout.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import type { StoredTensor } from "../../tensor/tensor_group.ts";

/** Bytes that lie the same way in the file's raw space and in a slab. */
export interface Segment {
  readonly rawOffset: number;
  /** Where in the slab, and how many bytes. */
  readonly target: BufferRange;
}

/**
 * Where the bytes of `found`, which are tensors of a file, belong in the memory of `tensors`, in the order of the
 * file.
 */
export function planSegments(
  tensors: readonly StoredTensor[],
  found: ReadonlyMap<string, TensorRecord>,
): Segment[] {
  const pieces = tensors.flatMap((tensor): Segment[] => {
    const record = found.get(tensor.name);
    if (record === undefined || record.byteLength === 0) return [];
    const { buffer, offset } = tensor.range;
    const size = alignUp(record.byteLength, 4);
    return [{ rawOffset: record.rawOffset, target: { buffer, offset, size } }];
  });
  pieces.sort((a, b) => a.rawOffset - b.rawOffset);
  const segments: Segment[] = [];
  for (const piece of pieces) {
    const last = segments.at(-1);
    if (last !== undefined && isNext(last, piece)) {
      const size = endOf(piece) - last.rawOffset;
      segments[segments.length - 1] = { rawOffset: last.rawOffset, target: { ...last.target, size } };
    } else segments.push(piece);
  }
  return segments;
}

/**
 * Whether `piece` follows `last` in the file and in the same slab, with nothing but padding, which is zero, between.
 */
function isNext(last: Segment, piece: Segment): boolean {
  const distance = piece.rawOffset - last.rawOffset;
  return last.target.buffer === piece.target.buffer &&
    piece.target.offset - last.target.offset === distance &&
    distance === alignUp(last.target.size, TENSOR_ALIGNMENT);
}

/** A range of a file's raw space, and what of it belongs into the store, in order. */
export interface FileRange {
  readonly start: number;
  readonly end: number;
  readonly segments: readonly Segment[];
}

/** The pieces of a file that have the segments: those with nothing but padding between them are one. */
export function* fileRanges(segments: readonly Segment[]): Generator<FileRange> {
  let group: Segment[] = [];
  for (const segment of segments) {
    const last = group.at(-1);
    if (last !== undefined && segment.rawOffset - endOf(last) >= TENSOR_ALIGNMENT) {
      yield rangeOf(group);
      group = [];
    }
    group.push(segment);
  }
  if (group.length > 0) yield rangeOf(group);
}

function rangeOf(segments: readonly Segment[]): FileRange {
  return { start: segments[0]?.rawOffset ?? 0, end: endOf(segments.at(-1)), segments };
}

/** Those of `bytes`, which begin at `rawOffset` of the raw space, that belong to the segment, and where in it. */
export function bytesOfSegment(
  segment: Segment,
  rawOffset: number,
  bytes: Uint8Array,
): { at: number; piece: Uint8Array } {
  const start = Math.max(segment.rawOffset, rawOffset);
  const end = Math.min(endOf(segment), rawOffset + bytes.byteLength);
  return {
    at: start - segment.rawOffset,
    piece: bytes.subarray(start - rawOffset, end - rawOffset),
  };
}

/** Behind the last raw byte of a segment; 0 of none. */
export function endOf(segment: Segment | undefined): number {
  return segment === undefined ? 0 : segment.rawOffset + segment.target.size;
}
