import { byteSizeOf, type DType } from "../base/dtype.ts";
import { CairnError } from "../base/errors.ts";
import { HostTensor } from "../tensor/host_tensor.ts";
import { elementCount, formatShape, shapesEqual } from "../tensor/shape.ts";
import type { Value } from "./value.ts";

/** Elements for an input: a tensor, a typed array of the dtype, or its bytes (a `Uint8Array` or `DataView`). */
export type ProgramInput = HostTensor | ArrayBufferView;

/**
 * The bytes to upload for input `name`.
 * @throws CairnError `shape_mismatch` or `dtype_mismatch` with what was found and what the program was compiled for.
 */
export function bytesForInput(name: string, { dtype, shape }: Value, given: ProgramInput): Uint8Array {
  const expected = `${dtype} of shape ${formatShape(shape)}`;
  if (given instanceof HostTensor) {
    const found = `${given.dtype} of shape ${formatShape(given.shape)}`;
    if (given.dtype !== dtype) throw mismatch("dtype_mismatch", name, found, expected);
    if (!shapesEqual(given.shape, shape)) throw mismatch("shape_mismatch", name, found, expected);
    return given.bytes;
  }
  const kind = given.constructor.name;
  if (!ARRAY_KINDS[dtype].includes(kind) && !RAW_KINDS.includes(kind)) {
    throw mismatch("dtype_mismatch", name, `a ${kind}`, expected);
  }
  const byteLength = elementCount(shape) * byteSizeOf(dtype);
  if (given.byteLength !== byteLength) {
    const found = `a ${kind} of ${given.byteLength} bytes`;
    throw mismatch("shape_mismatch", name, found, `${expected} (${byteLength} bytes)`);
  }
  return new Uint8Array(given.buffer, given.byteOffset, given.byteLength);
}

/** Views that are taken as the bytes of any dtype. (Node's `Buffer` is a `Uint8Array` under another name.) */
const RAW_KINDS: readonly string[] = ["Uint8Array", "Buffer", "DataView"];

/** Typed arrays for each dtype. */
const ARRAY_KINDS: Readonly<Record<DType, readonly string[]>> = {
  bool: ["Uint8ClampedArray"],
  u8: ["Uint8ClampedArray"],
  i8: ["Int8Array"],
  u16: ["Uint16Array"],
  i16: ["Int16Array"],
  u32: ["Uint32Array"],
  i32: ["Int32Array"],
  u64: ["BigUint64Array"],
  i64: ["BigInt64Array"],
  f16: ["Float16Array", "Uint16Array"],
  bf16: ["Uint16Array"],
  f32: ["Float32Array"],
  f64: ["Float64Array"],
};

function mismatch(
  code: "shape_mismatch" | "dtype_mismatch",
  name: string,
  found: string,
  expected: string,
): CairnError {
  const message =
    `Input "${name}" is ${found}; the program was compiled for ${expected}. Give it that, or compile it anew`;
  return new CairnError(code, message, { details: { tensor: name } });
}
