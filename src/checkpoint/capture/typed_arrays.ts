import type { DType } from "../../base/dtype.ts";

/** The typed arrays that every runtime has. A Float16Array is accepted, too, where there is one. */
export type TypedArray =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

const DTYPE_OF_VIEW: Readonly<Record<string, DType>> = {
  Int8Array: "i8",
  Uint8Array: "u8",
  Uint8ClampedArray: "u8",
  Int16Array: "i16",
  Uint16Array: "u16",
  Int32Array: "i32",
  Uint32Array: "u32",
  Float16Array: "f16",
  Float32Array: "f32",
  Float64Array: "f64",
  BigInt64Array: "i64",
  BigUint64Array: "u64",
};

/** Whether `value` is a typed array (and no DataView). */
export function isTypedArray(value: unknown): value is TypedArray {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

/** "Float32Array" and so on; of a subclass, such as Node's Buffer, its base. */
export function viewNameOf(value: TypedArray): string {
  return value[Symbol.toStringTag];
}

/** The dtype of the elements of that class of typed array. */
export function dtypeOfView(name: string): DType {
  const dtype = DTYPE_OF_VIEW[name];
  if (dtype === undefined) throw new TypeError(`${name} is no typed array that can be saved`);
  return dtype;
}

/**
 * As JSON each number of an array is an object of the garbage collector and a text; from this many on it is a tensor.
 */
const LEAST_NUMBERS = 1024;

/** The bytes of a long array of finite numbers as f64, -0 included; `undefined` for any other array. */
export function bytesOfNumbers(list: readonly unknown[]): Uint8Array | undefined {
  const { length } = list;
  if (length < LEAST_NUMBERS) return undefined;
  for (let index = 0; index < length; index++) {
    const item = list[index];
    // Of a finite number, and of no other, this is 0. A hole ends it before memory is taken for all of a long one.
    if (typeof item !== "number" || item - item !== 0) return undefined;
  }
  return new Uint8Array(new Float64Array(list as readonly number[]).buffer);
}

/**
 * A copy of `bytes` as what `view` names, a typed array or an array of numbers; `undefined` where this runtime has no
 * such class.
 */
export function asTypedArray(view: string | undefined, bytes: Uint8Array): TypedArray | number[] | undefined {
  if (view === "Array") return Array.from(new Float64Array(bytes.slice().buffer));
  if (view === undefined || !Object.hasOwn(DTYPE_OF_VIEW, view)) return undefined;
  const constructor = (globalThis as Record<string, unknown>)[view];
  if (typeof constructor !== "function") return undefined;
  // A copy, because a view needs its first byte at a multiple of the element size.
  const copy = bytes.slice().buffer;
  return new (constructor as new (buffer: ArrayBufferLike) => TypedArray)(copy);
}
