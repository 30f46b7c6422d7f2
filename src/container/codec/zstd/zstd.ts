import { byteSizeOf, type DType } from "../../../base/dtype.ts";
import { CairnError } from "../../../base/errors.ts";
import { isAllZero } from "../../../base/little_endian.ts";
import { mergePlanes, splitPlanes } from "../byte_planes.ts";
import type { Codec, Decoder } from "../codec.ts";
import { joinPlanes, readPlanes } from "../plane_list.ts";
import { sampledBits } from "../plane_statistics.ts";
import { canCompressZstd, unzstdBytes, zstdBytes } from "./zstd_stream.ts";

// Below this saving a chunk or a plane is not worth the time it takes to decode.
const WORTHWHILE = 31 / 32;
// A plane with more bits a byte than this by a sample is taken for noise, and not tried.
const NOISE_BITS = 7.9;
// No chunk is stored in less than this part of its raw bytes: a reader takes smaller ones for bombs.
const LEAST_STORED = 1 / 1024;

/**
 * Byte planes, each a Zstandard frame where that pays and as it is where it does not. For integers, masks and
 * whatever else repeats itself; on weights `planes` is smaller and faster. Written only where the runtime has
 * a Zstandard of its own, read everywhere. FORMAT.md has the stored form.
 */
export const zstdCodec: Codec = {
  id: 3,
  name: "zstd",
  canEncode: canCompressZstd,
  encode(raw, dtype) {
    const byteSize = byteSizeOf(dtype);
    const count = raw.byteLength / byteSize;
    if (count === 0) return undefined;
    const split = new Uint8Array(byteSize === 1 ? 0 : raw.byteLength);
    if (byteSize > 1) splitPlanes(raw, byteSize, split);
    const streams = Array.from(
      { length: byteSize },
      (_, plane) =>
        compressedPlane(byteSize === 1 ? raw : split.subarray(plane * count, (plane + 1) * count)),
    );
    const used = streams.reduce((sum, stream) => sum + stream.byteLength, 4 * byteSize);
    if (used > raw.byteLength * WORTHWHILE) return undefined;
    return joinPlanes(streams, Math.max(used, Math.ceil(raw.byteLength * LEAST_STORED)));
  },
  decode: decodeZstd,
};

/** The half of {@link zstdCodec} that reads. */
export const zstdDecoder: Decoder = { id: 3, name: "zstd", decode: decodeZstd };

function decodeZstd(stored: Uint8Array, rawLength: number, dtype: DType): Uint8Array {
  const byteSize = byteSizeOf(dtype);
  const planes = storedPlanes(stored, byteSize, rawLength).map((plane) =>
    plane.byteLength * byteSize === rawLength ? plane : unzstdBytes(plane, rawLength / byteSize)
  );
  const [only] = planes;
  return only !== undefined && planes.length === 1 ? only : mergePlanes(planes, rawLength);
}

function compressedPlane(plane: Uint8Array): Uint8Array {
  if (sampledBits(plane) > NOISE_BITS) return plane;
  const frame = zstdBytes(plane);
  return frame !== undefined && frame.byteLength <= plane.byteLength * WORTHWHILE ? frame : plane;
}

/** Views of the planes in `stored`, with nothing but the least padding behind. */
function storedPlanes(stored: Uint8Array, byteSize: number, rawLength: number): Uint8Array[] {
  const { planes, end } = readPlanes(stored, byteSize, rawLength / byteSize, invalid);
  const expected = Math.max(end, Math.ceil(rawLength * LEAST_STORED));
  if (stored.byteLength !== expected || !isAllZero(stored.subarray(end))) {
    throw invalid(`${stored.byteLength - end} bytes follow its last plane, expected ${expected - end} zeros`);
  }
  return planes;
}

function invalid(problem: string): CairnError {
  return new CairnError("invalid_container", `A zstd chunk is damaged: ${problem}`);
}
