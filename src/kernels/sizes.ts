import { checkedMultiply } from "../base/checked.ts";

/** Shaders index with `u32`. */
const MAX_ELEMENTS = 0xffff_ffff;

/** Two numbers, for rows and for columns. */
export type RowsAndColumns = readonly [rows: number, columns: number];

/** Checks sizes of a kernel: whole numbers from 0 to 2^32 - 1, or a `RangeError` that names the kernel and the size. */
export function requireSizes(kernel: string, sizes: Readonly<Record<string, number>>): void {
  for (const [name, size] of Object.entries(sizes)) {
    if (!Number.isInteger(size) || size < 0 || size > MAX_ELEMENTS) {
      throw new RangeError(`${kernel}: ${name} has to be a whole number from 0 to 2^32 - 1, not ${size}`);
    }
  }
}

/** The product of sizes, which has to be an index that a shader can hold; `RangeError` otherwise. */
export function requireElements(kernel: string, sizes: readonly number[]): number {
  const count = sizes.reduce(checkedMultiply, 1);
  if (count > MAX_ELEMENTS) {
    throw new RangeError(
      `${kernel}: ${sizes.join(" x ")} elements are more than a shader can index (2^32 - 1)`,
    );
  }
  return count;
}

/** Checks a hyperparameter: a finite number in `[low, high]`, or a `RangeError` that names it. */
export function requireNumber(kernel: string, name: string, value: number, low: number, high: number): void {
  if (!Number.isFinite(value) || value < low || value > high) {
    throw new RangeError(`${kernel}: ${name} has to be a number from ${low} to ${high}, not ${value}`);
  }
}
