import { alignUp } from "../../../base/checked.ts";
import { byteSizeOf, type DType } from "../../../base/dtype.ts";
import { viewOf } from "../../../base/little_endian.ts";
import type { Codec, Decoder } from "../codec.ts";
import { planeKernels } from "./chosen_kernels.ts";
import { PLANE_HEAP } from "./plane_heap.ts";
import type { PlaneKernels } from "./plane_kernels.ts";
import { invalid, readPlane } from "./plane_reader.ts";
import { sampledZeros } from "../plane_statistics.ts";
import { PlaneWriter } from "./plane_writer.ts";

// Below this saving a chunk is not worth the time it takes to decode.
const WORTHWHILE = 31 / 32;

// Zeros are left out of the planes where there are so many of them: less than that is not worth the mask.
const WORTHWHILE_ZEROS = 1 / 32;
// No chunk is stored in less than this part of its raw bytes: a reader takes smaller ones for bombs.
const LEAST_STORED = 1 / 1024;

/** Where a chunk, its mask and its planes are in the heap of the kernels. */
interface HeapLayout {
  readonly raw: number;
  readonly mask: number;
  readonly planes: number;
  /** From one plane to the next. */
  readonly stride: number;
  readonly streams: number;
  readonly end: number;
}

/**
 * Byte planes, each entropy-coded by an order-0 Huffman code of our own where that pays, and stored as it is
 * where it does not. Elements of floating point are rotated left by one bit first, so that the sign leaves
 * the byte of the exponent, which is the only one with much to save. Code tables change along a plane where
 * that pays. Where many elements are zero, as in moments and masks, one bit each says which, and the planes
 * have only the others. Every machine makes the same bytes of the same chunk. FORMAT.md has the stored form.
 *
 * After ZipNN (M. Hershcovitch et al., "ZipNN: Lossless Compression for AI Models", 2024); the four
 * interleaved streams are those of Y. Collet's Huff0.
 */
export const planesCodec: Codec = {
  id: 2,
  name: "planes",
  encode(raw, dtype, into) {
    if (raw.byteLength === 0) return undefined;
    const hasZeros = sampledZeros(raw, byteSizeOf(dtype)) >= WORTHWHILE_ZEROS;
    const writer = (hasZeros ? encodeNonzero(raw, dtype) : undefined) ?? encodeAll(raw, dtype);
    return writer.byteLength > raw.byteLength * WORTHWHILE ? undefined : writer.toBytes(into);
  },
  decode: decodePlanes,
};

/** The half of {@link planesCodec} that reads. */
export const planesDecoder: Decoder = { id: 2, name: "planes", decode: decodePlanes };

function decodePlanes(stored: Uint8Array, rawLength: number, dtype: DType, into?: Uint8Array): Uint8Array {
  const byteSize = byteSizeOf(dtype);
  const count = rawLength / byteSize;
  if (!Number.isInteger(count)) throw invalid(`${rawLength} raw bytes are no whole number of ${dtype}`);
  if (stored.byteLength < 4) throw invalid(`it has ${stored.byteLength} bytes`);
  const kept = viewOf(stored).getUint32(0, true);
  if (kept > count) throw invalid(`it has ${kept} elements in its planes, of ${count} at most`);
  const kernels = planeKernels();
  // Streams may be read far past their end before that is noticed: by less than twice a plane's length.
  const layout = heapLayout(rawLength, byteSize, 3 * count);
  kernels.reserve(layout.end);
  let at = 4;
  if (kept < count) at = readMask(kernels, stored, at, { layout, kept, count });
  const first = byteSize === 1 ? layout.raw : layout.planes;
  for (let plane = 0; plane < byteSize; plane++) {
    const target = { address: first + plane * layout.stride, length: kept, streams: layout.streams };
    at = readPlane(kernels, stored, at, target);
  }
  if (at !== stored.byteLength) throw invalid(`${stored.byteLength - at} bytes follow its last plane`);
  if (byteSize > 1) {
    kernels.merge(layout.planes, layout.stride, kept, byteSize, isFloat(dtype), layout.raw);
  }
  if (kept < count) kernels.expand(layout.raw, kept, count, byteSize, layout.mask);
  const raw = kernels.heap().subarray(layout.raw, layout.raw + rawLength);
  if (into === undefined) return raw.slice();
  into.set(raw);
  return into.subarray(0, rawLength);
}

/** The planes of all elements. */
function encodeAll(raw: Uint8Array, dtype: DType): PlaneWriter {
  const byteSize = byteSizeOf(dtype);
  const { kernels, layout } = loaded(raw, byteSize);
  const writer = new PlaneWriter(kernels, layout.streams);
  const count = raw.byteLength / byteSize;
  writer.addNumber(count);
  if (byteSize > 1) {
    kernels.split(layout.raw, count, byteSize, isFloat(dtype), layout.planes, layout.stride);
  }
  addPlanes(writer, layout, byteSize, count);
  return writer;
}

/** A mask, and the planes of the elements that are not zero; `undefined` where that does not pay. */
function encodeNonzero(raw: Uint8Array, dtype: DType): PlaneWriter | undefined {
  const byteSize = byteSizeOf(dtype);
  const { kernels, layout } = loaded(raw, byteSize);
  const count = raw.byteLength / byteSize;
  const kept = byteSize === 1 ? kernels.compact(layout.raw, count, byteSize, layout.mask) : kernels.splitKept(
    layout.raw,
    count,
    byteSize,
    isFloat(dtype),
    layout.planes,
    layout.stride,
    layout.mask,
  );
  if (kept === 0 || kept > count * (1 - WORTHWHILE_ZEROS)) return undefined;
  const writer = new PlaneWriter(kernels, layout.streams);
  writer.addNumber(kept);
  writer.addPlane(layout.mask, Math.ceil(count / 8));
  addPlanes(writer, layout, byteSize, kept);
  return writer.byteLength < raw.byteLength * LEAST_STORED ? undefined : writer;
}

/** Puts a chunk into the heap of the kernels. */
function loaded(raw: Uint8Array, byteSize: number): { kernels: PlaneKernels; layout: HeapLayout } {
  const kernels = planeKernels();
  // Planes, mask and streams together never grow by more than some headers.
  const layout = heapLayout(raw.byteLength, byteSize, 2 * raw.byteLength);
  kernels.reserve(layout.end);
  kernels.heap().set(raw, layout.raw);
  return { kernels, layout };
}

function addPlanes(writer: PlaneWriter, layout: HeapLayout, byteSize: number, count: number): void {
  const first = byteSize === 1 ? layout.raw : layout.planes;
  for (let plane = 0; plane < byteSize; plane++) writer.addPlane(first + plane * layout.stride, count);
}

function readMask(
  kernels: PlaneKernels,
  stored: Uint8Array,
  at: number,
  { layout, kept, count }: { layout: HeapLayout; kept: number; count: number },
): number {
  const length = Math.ceil(count / 8);
  const end = readPlane(kernels, stored, at, { address: layout.mask, length, streams: layout.streams });
  const ones = kernels.ones(layout.mask, length);
  if (ones !== kept) throw invalid(`its mask has ${ones} bits, for ${kept} elements`);
  const last = kernels.heap()[layout.mask + length - 1] as number;
  if ((count & 7) !== 0 && last >>> (count & 7) !== 0) throw invalid("bits behind its mask are not zero");
  return end;
}

function heapLayout(rawLength: number, byteSize: number, streamBytes: number): HeapLayout {
  const { free, slack } = PLANE_HEAP;
  const count = rawLength / byteSize;
  const stride = alignUp(count + slack, slack);
  const mask = alignUp(free + rawLength + slack, slack);
  const planes = alignUp(mask + count / 8 + slack, slack);
  const streams = planes + (byteSize === 1 ? 0 : byteSize * stride);
  return { raw: free, mask, planes, stride, streams, end: streams + streamBytes + slack };
}

function isFloat(dtype: DType): boolean {
  return dtype === "f32" || dtype === "f16" || dtype === "bf16" || dtype === "f64";
}
