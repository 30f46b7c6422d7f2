import type { DType } from "../base/dtype.ts";

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

/** "Float32Array" and so on; a subclass, such as Node's Buffer, counts as its base. */
export function viewNameOf(value: TypedArray): string {
  return value[Symbol.toStringTag];
}

/** The dtype of the elements of that class of typed array. */
export function dtypeOfView(name: string): DType {
  const dtype = DTYPE_OF_VIEW[name];
  if (dtype === undefined) throw new TypeError(`${name} is no typed array that can be saved`);
  return dtype;
}

/** A copy of `bytes` as a typed array of the class `view`; `undefined` where this runtime has no such class. */
export function asTypedArray(view: string | undefined, bytes: Uint8Array): TypedArray | undefined {
  if (view === undefined || !Object.hasOwn(DTYPE_OF_VIEW, view)) return undefined;
  const constructor = (globalThis as Record<string, unknown>)[view];
  if (typeof constructor !== "function") return undefined;
  // A copy, because a view needs its first byte at a multiple of the element size.
  const copy = bytes.slice().buffer;
  return new (constructor as new (buffer: ArrayBufferLike) => TypedArray)(copy);
}
