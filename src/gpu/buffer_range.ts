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
