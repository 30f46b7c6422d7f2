import { byteSizeOf, type DType } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import { decodeBfloat16, decodeFloat16, encodeBfloat16, encodeFloat16 } from "../../base/float16.ts";

/** The dtypes that a reader casts from and to. */
export type CastDType = "f32" | "f16" | "bf16";

/**
 * Elements of one floating-point dtype as those of another, all as little-endian bytes: rounded once, to nearest,
 * ties to even; what is too large becomes infinite; a NaN keeps its sign and the upper bits of its payload. Gives
 * `bytes` itself where there is nothing to do, and never writes to it.
 */
export function castBytes(bytes: Uint8Array, from: CastDType, to: CastDType): Uint8Array {
  if (from === to) return bytes;
  // f16 and bf16 both fit into f32 exactly, so going through it rounds no more than once.
  const floats = toFloats(bytes, from);
  const cast = to === "f32" ? floats : to === "f16" ? encodeFloat16(floats) : encodeBfloat16(floats);
  return new Uint8Array(cast.buffer, cast.byteOffset, cast.byteLength);
}

/**
 * `dtype` as one that can be cast to `cast`.
 * @throws CairnError `dtype_mismatch` for integers, bool and f64.
 * @throws TypeError where `cast` is no dtype to cast to.
 */
export function castFrom(name: string, dtype: DType, cast: CastDType): CastDType {
  if (!isCastable(cast)) throw new TypeError(`Cannot cast to "${cast}"; use "f32", "f16" or "bf16"`);
  if (isCastable(dtype)) return dtype;
  throw new CairnError(
    "dtype_mismatch",
    `Cannot read "${name}" as ${cast}: it is ${dtype}, and only f32, f16 and bf16 are cast; read it as it is`,
    { details: { tensor: name } },
  );
}

/** Whether a reader can give elements of this dtype as those of another. */
export function isCastable(dtype: DType): dtype is CastDType {
  return dtype === "f32" || dtype === "f16" || dtype === "bf16";
}

function toFloats(bytes: Uint8Array, from: CastDType): Float32Array {
  const byteSize = byteSizeOf(from);
  // Typed arrays begin at multiples of their elements' size.
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % byteSize === 0 ? bytes : bytes.slice();
  const count = byteLength / byteSize;
  if (from === "f32") return new Float32Array(buffer, byteOffset, count);
  const encoded = new Uint16Array(buffer, byteOffset, count);
  return from === "f16" ? decodeFloat16(encoded) : decodeBfloat16(encoded);
}
