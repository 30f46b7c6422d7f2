import { alignUp } from "../base/checked.ts";

/** A part of a GPU buffer. It borrows the buffer: the creator of the buffer destroys it. */
export interface BufferRange {
  /** The buffer that it is a part of. */
  readonly buffer: GPUBuffer;
  /** First byte. */
  readonly offset: number;
  /** Length in bytes. */
  readonly size: number;
}

/**
 * Checks that `range` lies inside its buffer and can be copied: offset and size are multiples of 4.
 *
 * Done here because runtimes differ: Deno lets a bad copy pass as a validation error only, the others throw.
 * @throws RangeError that names the range and what it has to be.
 */
export function checkCopyRange(range: BufferRange, what: string): void {
  const { buffer, offset, size } = range;
  const isWhole = Number.isSafeInteger(offset) && Number.isSafeInteger(size) && offset >= 0 && size >= 0;
  if (!isWhole || offset % 4 !== 0 || size % 4 !== 0) {
    throw new RangeError(
      `${what}: offset ${offset} and size ${size} have to be multiples of 4 that are not negative`,
    );
  }
  if (offset + size > buffer.size) {
    throw new RangeError(
      `${what}: bytes ${offset} to ${
        offset + size
      } lie outside of buffer "${buffer.label}" of ${buffer.size} bytes`,
    );
  }
}

/**
 * How many bytes of `buffer` are overwritten by `byteLength` bytes: a multiple of 4.
 *
 * @throws RangeError when they do not fit; Deno would only drop them.
 */
export function checkedWriteLength(buffer: GPUBuffer, offset: number, byteLength: number): number {
  const padded = alignUp(byteLength, 4);
  const isWhole = Number.isSafeInteger(offset) && offset >= 0 && offset % 4 === 0;
  if (isWhole && offset + padded <= buffer.size) return padded;
  throw new RangeError(
    `Cannot write ${byteLength} bytes at offset ${offset} of buffer "${buffer.label}" of ${buffer.size} bytes: ` +
      "the offset has to be a multiple of 4, and the end, rounded up to a multiple of 4, inside the buffer",
  );
}
