import type { BufferRange } from "../gpu/buffer_range.ts";
import type { Slice } from "./shards.ts";

/** The most bytes that go from rank to rank at once: some hide behind others, and few are held. */
export const PIECE_BYTES: number = 8 * 1024 * 1024;

/** One range of what is added up over shards. */
export interface SumRange {
  /** Its size is a multiple of 4. */
  readonly range: BufferRange;
  /** From which word on it has whole numbers; f32 before. Default: it has none. */
  readonly integersFrom?: number | undefined;
}

/**
 * Memory for what is added up over shards: ranges in different buffers, which together are one long row of words. What
 * is added to one another has ranges of the same sizes.
 */
export type SumMemory = readonly SumRange[];

/** A part of a {@link SumMemory}, as one range of it has it. */
export interface SumSpan {
  readonly range: BufferRange;
  /** Where it begins in its piece, in bytes. */
  readonly at: number;
}

/** Some neighbours among the words of a {@link SumMemory}. */
export interface SumPiece {
  readonly byteLength: number;
  /** From which of its words on they are whole numbers. */
  readonly integersFrom: number;
  /** Index of the range, and the bytes of it. */
  readonly parts: readonly { readonly index: number; readonly offset: number; readonly size: number }[];
}

/** `memory` in pieces of at most `mostBytes` bytes, a multiple of 256, as few and as equal as can be. */
export function piecesOf(memory: SumMemory, mostBytes: number): SumPiece[] {
  const total = bytesOf(memory);
  if (total === 0) return [];
  const count = Math.ceil(total / mostBytes);
  const pieceBytes = Math.ceil(total / count / 256) * 256;
  const pieces: SumPiece[] = [];
  let parts: { index: number; offset: number; size: number }[] = [];
  let byteLength = 0;
  const close = (): void => {
    if (byteLength > 0) pieces.push({ byteLength, parts, integersFrom: integersFrom(memory, parts) });
    parts = [];
    byteLength = 0;
  };
  memory.forEach(({ range: { size } }, index) => {
    for (let offset = 0; offset < size;) {
      const taken = Math.min(size - offset, pieceBytes - byteLength);
      parts.push({ index, offset, size: taken });
      byteLength += taken;
      offset += taken;
      if (byteLength === pieceBytes) close();
    }
  });
  close();
  return pieces;
}

/** Bytes of all ranges together. */
export function bytesOf(memory: SumMemory): number {
  return memory.reduce((sum, { range: { size } }) => sum + size, 0);
}

/** Where a piece is in `memory`. */
export function spansOf(memory: SumMemory, { parts }: SumPiece): SumSpan[] {
  let at = 0;
  return parts.flatMap(({ index, offset, size }): SumSpan[] => {
    const own = memory[index]?.range;
    if (own === undefined) return [];
    const span = { range: { buffer: own.buffer, offset: own.offset + offset, size }, at };
    at += size;
    return [span];
  });
}

/** What of `spans` lies in `size` bytes from `first` on; places are counted from there. */
export function partOf(spans: readonly SumSpan[], { first, size }: Slice): SumSpan[] {
  return spans.flatMap(({ range, at }): SumSpan[] => {
    const [from, to] = [Math.max(at, first), Math.min(at + range.size, first + size)];
    if (from >= to) return [];
    const { buffer, offset } = range;
    return [{ range: { buffer, offset: offset + from - at, size: to - from }, at: from - first }];
  });
}

/** Whole numbers come last, so that one number says where they begin. */
function integersFrom(memory: SumMemory, parts: SumPiece["parts"]): number {
  let words = 0;
  for (const { index, offset, size } of parts) {
    const from = memory[index]?.integersFrom ?? Infinity;
    if (4 * from < offset + size) return words + Math.max(0, from - offset / 4);
    words += size / 4;
  }
  return words;
}
