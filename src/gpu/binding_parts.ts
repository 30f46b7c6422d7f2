/** Bytes of a tensor that are bound at once. */
export interface BindingPart {
  /** A multiple of 256, as WebGPU wants it of a binding. */
  readonly offset: number;
  readonly byteLength: number;
}

/** Every adapter takes multiples of this as the offset of a binding, in bytes. */
export const BINDING_ALIGNMENT = 256;

/**
 * Parts end at multiples of this where a binding is larger: whole pieces of work of the kernels that look at a piece
 * each, so that these leave the same bits whether there are parts or not.
 */
const WHOLE_PIECES = 65_536;

/** The most bytes that `gpu` binds at once, a multiple of 256. */
export function mostBindingBytes({ limits }: { readonly limits: GPUSupportedLimits }): number {
  return bindingStart(limits.maxStorageBufferBindingSize);
}

/** The fewest rows of so many bytes behind which a binding may begin. */
export function rowsToAlign(rowBytes: number): number {
  return BINDING_ALIGNMENT / commonDivisor(rowBytes, BINDING_ALIGNMENT);
}

/** Where a binding that has `byte` may begin: the last such place before it, or there. */
export function bindingStart(byte: number): number {
  return Math.floor(byte / BINDING_ALIGNMENT) * BINDING_ALIGNMENT;
}

/** Cuts `byteLength` bytes into parts of at most `most` bytes, one after the other: one where that is enough. */
export function bindingParts(byteLength: number, most: number): BindingPart[] {
  if (byteLength <= most) return [{ offset: 0, byteLength }];
  const unit = most < WHOLE_PIECES ? BINDING_ALIGNMENT : WHOLE_PIECES;
  const each = Math.floor(most / unit) * unit;
  return Array.from({ length: Math.ceil(byteLength / each) }, (_, index) => {
    const offset = index * each;
    return { offset, byteLength: Math.min(each, byteLength - offset) };
  });
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}
