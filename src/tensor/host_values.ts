import { kindOf } from "../base/options/kind_of.ts";
import { byteSizeOf, type DType } from "../base/dtype.ts";
import { encodeBfloat16, encodeFloat16 } from "../base/float16.ts";

/** One element as a caller writes it. */
export type HostValue = number | boolean | bigint;

/** Any typed array whose elements a tensor can hold. */
export type NumericArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint8ClampedArray
  | Uint16Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** Values for a tensor: one, a flat or nested array of them, or a typed array. */
export type HostValues = HostValue | NumericArray | readonly HostValues[];

/** Without nesting. */
export type FlatValues = NumericArray | readonly HostValue[];

function isTypedArray(values: HostValues): values is NumericArray {
  return ArrayBuffer.isView(values);
}

/** The elements of nested arrays in row-major order. A typed array or a flat array is given back as it is. */
export function flatten(values: HostValues): FlatValues {
  if (isTypedArray(values)) return values;
  if (!Array.isArray(values)) return [values as HostValue];
  const nested = values as readonly HostValues[];
  if (nested.every((value) => typeof value !== "object" || value === null)) {
    return nested as readonly HostValue[];
  }
  const elements: HostValue[] = [];
  for (const value of nested) for (const element of flatten(value)) elements.push(element);
  return elements;
}

/**
 * @param what Names the values in the message, such as `inputs`.
 * @throws TypeError that has the index, in row-major order, of what is no number, boolean or bigint.
 */
export function requireNumbers(elements: FlatValues, what: string = "the values"): void {
  if (isTypedArray(elements)) return;
  for (let index = 0; index < elements.length; index++) {
    const element: unknown = elements[index];
    if (typeof element === "number" || typeof element === "boolean" || typeof element === "bigint") continue;
    throw new TypeError(
      `Element ${index} of ${what} is ${
        kindOf(element)
      }, expected a number; write NaN, or leave it out, where there is none`,
    );
  }
}

/**
 * The shape of nested arrays.
 *
 * @param placeOf Names the values in the message: `inputs`, `inputs[3]`.
 * @throws TypeError when arrays of one level have different shapes: which one, and what it should have been.
 */
export function inferShape(values: HostValues, placeOf: () => string): number[] {
  if (isTypedArray(values)) return [values.length];
  if (!Array.isArray(values)) return [];
  const nested = values as readonly HostValues[];
  const shapeAt = (index: number): number[] => {
    const value = nested[index];
    return typeof value === "object" && value !== null
      ? inferShape(value, () => `${placeOf()}[${index}]`)
      : [];
  };
  if (nested.length === 0) return [0];
  const first = shapeAt(0);
  for (let index = 1; index < nested.length; index++) {
    const shape = shapeAt(index);
    if (shape.length === first.length && shape.every((size, axis) => size === first[axis])) continue;
    throw new TypeError(
      `${placeOf()}[${index}] is ${sized(shape)}, expected ${sized(first)} as in ${placeOf()}[0]; ` +
        "a tensor has rows of one length",
    );
  }
  return [nested.length, ...first];
}

/** `a number`, `3 values` or `an array of shape [2, 3]`. */
function sized(shape: readonly number[]): string {
  if (shape.length > 1) return `an array of shape [${shape.join(", ")}]`;
  const [size] = shape;
  if (size === undefined) return "a single value";
  return size === 1 ? "an array of 1 value" : `an array of ${size} values`;
}

/** Node's `Buffer`, which is bytes of who knows what. */
export function isNodeBuffer(values: unknown): values is Uint8Array {
  return values instanceof Uint8Array && values.constructor.name === "Buffer";
}

/** The array type that holds a dtype's elements as they are. bool, f16 and bf16 have none. */
const NATIVE_ARRAYS = {
  f32: Float32Array,
  f64: Float64Array,
  i8: Int8Array,
  i16: Int16Array,
  i32: Int32Array,
  i64: BigInt64Array,
  u8: Uint8Array,
  u16: Uint16Array,
  u32: Uint32Array,
  u64: BigUint64Array,
} as const;

/** The dtype that fits the values best: a typed array's own, else f32, bool or i64 by the first element. */
export function inferDType(values: FlatValues): DType {
  for (const [dtype, ArrayType] of Object.entries(NATIVE_ARRAYS)) {
    if (values instanceof ArrayType) return dtype as keyof typeof NATIVE_ARRAYS;
  }
  if (values instanceof Uint8ClampedArray) return "u8";
  const [first] = values;
  if (typeof first === "boolean") return "bool";
  return typeof first === "bigint" ? "i64" : "f32";
}

/**
 * The values as little-endian bytes of `dtype`, in memory of their own.
 * @throws RangeError for a value that an integer dtype cannot hold: it would come back as another one.
 */
export function encodeElements(values: FlatValues, dtype: DType): Uint8Array<ArrayBuffer> {
  if (isTypedArray(values) && inferDType(values) === dtype) return bytesOf(values.slice());
  switch (dtype) {
    case "f16":
      return bytesOf(encodeFloat16(numbersOf(values)));
    case "bf16":
      return bytesOf(encodeBfloat16(numbersOf(values)));
    case "f32":
    case "f64":
      return bytesOf(NATIVE_ARRAYS[dtype].from(numbersOf(values)));
    case "i64":
    case "u64":
      return bytesOf(NATIVE_ARRAYS[dtype].from(bigintsOf(values, dtype)));
    default:
      return bytesOf(NATIVE_ARRAYS[dtype === "bool" ? "u8" : dtype].from(integersOf(values, dtype)));
  }
}

function bytesOf(array: NumericArray): Uint8Array<ArrayBuffer> {
  return new Uint8Array(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength);
}

function numbersOf(values: FlatValues): ArrayLike<number> {
  if (isTypedArray(values) && !(values instanceof BigInt64Array || values instanceof BigUint64Array)) {
    return values;
  }
  return Array.from<HostValue, number>(values, Number);
}

/** Smallest and largest value of an integer dtype. */
function integerRange(dtype: DType): [bigint, bigint] {
  if (dtype === "bool") return [0n, 1n];
  const bits = BigInt(byteSizeOf(dtype) * 8);
  return dtype.startsWith("u") ? [0n, 2n ** bits - 1n] : [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n];
}

function integersOf(values: FlatValues, dtype: DType): number[] {
  const [least, most] = integerRange(dtype).map(Number) as [number, number];
  return Array.from<HostValue, number>(values, (value) => {
    const number = Number(value);
    if (Number.isInteger(number) && number >= least && number <= most) return number;
    throw new RangeError(`${value} is no ${dtype}: expected an integer from ${least} to ${most}`);
  });
}

function bigintsOf(values: FlatValues, dtype: DType): bigint[] {
  const [least, most] = integerRange(dtype);
  return Array.from<HostValue, bigint>(values, (value) => {
    const isExact = typeof value !== "number" || Number.isSafeInteger(value);
    const integer = isExact ? BigInt(value) : most + 1n;
    if (integer >= least && integer <= most) return integer;
    throw new RangeError(
      `${value} is no exact ${dtype}: expected an integer from ${least} to ${most}, a bigint above 2^53`,
    );
  });
}
