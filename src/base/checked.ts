/**
 * Where tensors start, in bytes: a multiple of this, in a slab and in a container's raw space alike.
 * 256 is WebGPU's default alignment for storage bindings.
 */
export const TENSOR_ALIGNMENT = 256;

/** `a * b`, or a `RangeError` when the product is no safe integer. */
export function checkedMultiply(a: number, b: number): number {
  const product = a * b;
  if (!Number.isSafeInteger(product)) throw new RangeError(`${a} x ${b} is not a safe integer`);
  return product;
}

/** `a + b`, or a `RangeError` when the sum is no safe integer. */
export function checkedAdd(a: number, b: number): number {
  const sum = a + b;
  if (!Number.isSafeInteger(sum)) throw new RangeError(`${a} + ${b} is not a safe integer`);
  return sum;
}

/** The smallest multiple of `alignment` that is not below `value`. */
export function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}
