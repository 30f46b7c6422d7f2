import { byteSizeOf, type DType } from "../../../base/dtype.ts";
import { CairnError } from "../../../base/errors.ts";
import { mergePlanes, splitPlanes } from "../byte_planes.ts";
import type { Codec, Decoder } from "../codec.ts";
import { joinPlanes, readPlanes } from "../plane_list.ts";
import { deflateBytes, inflateBytes } from "./zlib_stream.ts";

// Below this saving a chunk or a plane is not worth the time it takes to decode.
const WORTHWHILE = 31 / 32;
// A float plane with more bits a byte than this by a sample is taken for noise, and not tried.
const NOISE_BITS = 7.75;
const SAMPLE_STRIDE = 16;

// Kept between calls because a fresh MiB a chunk costs more than the split itself. Encoding is synchronous,
// so no two calls ever see it at once.
let scratch = new Uint8Array(0);

/**
 * Byte planes, each a zlib stream (RFC 1950) where that pays and raw where it does not. Stored form: for each
 * byte of the element size a u32 length, then the planes; a plane as long as the element count is raw.
 * Random-looking mantissas so cost a copy, and exponents shrink to a third: 1.2x on f32 weights and 1.5x on
 * bf16.
 */
export const deflateCodec: Codec = {
  id: 1,
  name: "deflate",
  encode(raw, dtype) {
    const byteSize = byteSizeOf(dtype);
    const count = raw.byteLength / byteSize;
    const streams = planesOf(raw, byteSize).map((plane) => compressedPlane(plane, dtype));
    let storedLength = 4 * byteSize;
    for (const plane of streams) storedLength += plane.byteLength;
    if (count === 0 || storedLength > raw.byteLength * WORTHWHILE) return undefined;
    return joinPlanes(streams, storedLength);
  },
  decode: decodeDeflate,
};

/** The half of {@link deflateCodec} that reads. */
export const deflateDecoder: Decoder = { id: 1, name: "deflate", decode: decodeDeflate };

function decodeDeflate(stored: Uint8Array, rawLength: number, dtype: DType): Uint8Array {
  const byteSize = byteSizeOf(dtype);
  const planes = storedPlanes(stored, byteSize, rawLength / byteSize).map((plane) =>
    plane.byteLength * byteSize === rawLength ? plane : inflateBytes(plane, rawLength / byteSize)
  );
  const [only] = planes;
  return only !== undefined && planes.length === 1 ? only : mergePlanes(planes, rawLength);
}

function planesOf(raw: Uint8Array, byteSize: number): Uint8Array[] {
  if (byteSize === 1) return [raw];
  if (scratch.byteLength < raw.byteLength) scratch = new Uint8Array(raw.byteLength);
  splitPlanes(raw, byteSize, scratch);
  const count = raw.byteLength / byteSize;
  return Array.from({ length: byteSize }, (_, i) => scratch.subarray(i * count, (i + 1) * count));
}

/** The plane's zlib stream, or the plane itself where a stream would not be worthwhile. */
function compressedPlane(plane: Uint8Array, dtype: DType): Uint8Array {
  const isFloat = dtype === "f32" || dtype === "bf16" || dtype === "f16" || dtype === "f64";
  if (isFloat && sampledBits(plane) > NOISE_BITS) return plane;
  const stream = deflateBytes(plane, isFloat ? "runs" : "matches");
  return stream.byteLength <= plane.byteLength * WORTHWHILE ? stream : plane;
}

/** Bits of information a byte, as an order-0 code sees them, by a sample of every sixteenth byte. */
function sampledBits(plane: Uint8Array): number {
  const counts = new Uint32Array(256);
  let samples = 0;
  for (let i = 0; i < plane.length; i += SAMPLE_STRIDE, samples++) {
    const byte = plane[i] as number;
    counts[byte] = (counts[byte] as number) + 1;
  }
  let bits = 0;
  for (const count of counts) if (count > 0) bits -= (count / samples) * Math.log2(count / samples);
  return bits;
}

/** Views of the planes in `stored`, whose lengths fill it exactly and are none above `count`. */
function storedPlanes(stored: Uint8Array, byteSize: number, count: number): Uint8Array[] {
  const { planes, end } = readPlanes(stored, byteSize, count, invalid);
  if (end !== stored.byteLength) throw invalid(`${stored.byteLength - end} bytes follow its last plane`);
  return planes;
}

function invalid(problem: string): CairnError {
  return new CairnError("invalid_container", `A deflate chunk is damaged: ${problem}`);
}
