import { alignUp } from "../../base/checked.ts";
import { type DType, DTYPES } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import { readU64, viewOf, writeU64 } from "../../base/little_endian.ts";
import type { Decoder } from "../codec/codec.ts";
import { decoderById } from "../codec/decoders.ts";
import { CHUNK_ALIGNMENT, MAX_CHUNK_BYTES } from "./chunk_plan.ts";
import { DATA_OFFSET } from "./header.ts";
import { dtypeById } from "./dtype_id.ts";
import type { TensorColumns } from "./tensor_columns.ts";
import { FILE_ALIGNMENT } from "./trailer.ts";

const BYTES_PER_CHUNK = 8 + 4 + 4 + 4 + 4 + 1 + 1;
// DEFLATE makes at most 258 bytes of 2 bits. A chunk that promises more is a bomb, whatever its codec.
const MAX_EXPANSION = 1032;

/** A chunk: a piece of the raw space, and how and where it is stored. */
export interface ChunkRecord {
  /** First byte in the file. */
  readonly storedOffset: number;
  /** Bytes in the file. */
  readonly storedLength: number;
  /** Where it begins in the raw space. */
  readonly rawOffset: number;
  /** Bytes before compression, at most 16 MiB. */
  readonly rawLength: number;
  /** CRC-32 of the stored bytes. */
  readonly storedCrc: number;
  /** CRC-32 of the raw bytes. */
  readonly rawCrc: number;
  /** What decodes it. */
  readonly codec: Decoder;
  /** The dtype of every element in it. */
  readonly dtype: DType;
}

/** Bytes of a chunk table with `count` chunks. */
export function chunkTableBytes(count: number): number {
  return BYTES_PER_CHUNK * count;
}

/** The chunk table: a structure of arrays, see FORMAT.md. */
export function encodeChunkTable(chunks: readonly ChunkRecord[]): Uint8Array {
  const bytes = new Uint8Array(chunkTableBytes(chunks.length));
  const view = viewOf(bytes);
  const count = chunks.length;
  for (const [index, chunk] of chunks.entries()) {
    writeU64(view, 8 * index, chunk.storedOffset);
    view.setUint32(8 * count + 4 * index, chunk.storedLength, true);
    view.setUint32(12 * count + 4 * index, chunk.rawLength, true);
    view.setUint32(16 * count + 4 * index, chunk.storedCrc, true);
    view.setUint32(20 * count + 4 * index, chunk.rawCrc, true);
    view.setUint8(24 * count + index, chunk.codec.id);
    view.setUint8(25 * count + index, DTYPES[chunk.dtype].id);
  }
  return bytes;
}

/**
 * Reads a chunk table of `count` chunks, which have to cover the raw space and the file from the header to
 * `dataEnd` without hole or overlap. Throws `CairnError("invalid_container")`, or `"unsupported"` for an
 * unknown codec or dtype.
 */
export function parseChunkTable(
  bytes: Uint8Array,
  count: number,
  layout: TensorColumns,
  dataEnd: number,
): ChunkRecord[] {
  if (bytes.byteLength !== chunkTableBytes(count)) {
    throw invalid(`it has ${bytes.byteLength} bytes; ${count} chunks take ${chunkTableBytes(count)}`);
  }
  const view = viewOf(bytes);
  const chunks: ChunkRecord[] = [];
  let storedOffset = DATA_OFFSET;
  let rawOffset = 0;
  for (let index = 0; index < count; index++) {
    const chunk = parseChunk(view, count, index, rawOffset);
    if (chunk.storedOffset !== storedOffset) {
      throw invalid(`chunk ${index} is at ${chunk.storedOffset}, expected ${storedOffset}`);
    }
    storedOffset = alignUp(storedOffset + chunk.storedLength, FILE_ALIGNMENT);
    rawOffset += chunk.rawLength;
    chunks.push(chunk);
  }
  if (storedOffset !== dataEnd) throw invalid(`the chunks end at ${storedOffset}, the data at ${dataEnd}`);
  if (rawOffset !== layout.rawByteLength) {
    throw invalid(`the chunks have ${rawOffset} raw bytes, the tensors ${layout.rawByteLength}`);
  }
  checkDTypes(chunks, layout);
  return chunks;
}

function parseChunk(view: DataView, count: number, index: number, rawOffset: number): ChunkRecord {
  const storedLength = view.getUint32(8 * count + 4 * index, true);
  const rawLength = view.getUint32(12 * count + 4 * index, true);
  const storedCrc = view.getUint32(16 * count + 4 * index, true);
  const rawCrc = view.getUint32(20 * count + 4 * index, true);
  const codecId = view.getUint8(24 * count + index);
  const dtypeId = view.getUint8(25 * count + index);
  const codec = decoderById(codecId);
  const dtype = dtypeById(dtypeId);
  if (codec === undefined) throw unsupported(index, `codec number ${codecId}`);
  if (dtype === undefined) throw unsupported(index, `dtype number ${dtypeId}`);
  if (rawLength === 0 || rawLength % CHUNK_ALIGNMENT !== 0 || rawLength > MAX_CHUNK_BYTES) {
    throw invalid(
      `chunk ${index} has ${rawLength} raw bytes; expected a multiple of 256 up to ${MAX_CHUNK_BYTES}`,
    );
  }
  if (codec.name === "raw" ? storedLength !== rawLength || storedCrc !== rawCrc : storedLength >= rawLength) {
    throw invalid(
      `chunk ${index} stores ${rawLength} raw bytes as ${storedLength} by the codec ${codec.name}`,
    );
  }
  if (rawLength > storedLength * MAX_EXPANSION) {
    throw invalid(
      `chunk ${index} promises ${rawLength} bytes from ${storedLength}, more than any code can hold`,
    );
  }
  const storedOffset = readU64(view, 8 * index);
  return { storedOffset, storedLength, rawOffset, rawLength, storedCrc, rawCrc, codec, dtype };
}

/** Every byte of a tensor has to be in a chunk of its dtype. */
function checkDTypes(chunks: readonly ChunkRecord[], layout: TensorColumns): void {
  let index = 0;
  layout.forEachOwner((tensor, rawOffset, rawEnd, dtype) => {
    for (; index < chunks.length; index++) {
      const chunk = chunks[index] as ChunkRecord;
      const chunkEnd = chunk.rawOffset + chunk.rawLength;
      if (chunkEnd <= rawOffset) continue;
      if (chunk.dtype !== dtype) {
        const { name } = layout.record(tensor);
        throw invalid(`chunk ${index} is ${chunk.dtype}, but holds a part of "${name}", which is ${dtype}`);
      }
      // The next tensor may begin in this same chunk.
      if (chunkEnd >= rawEnd) break;
    }
  });
}

function invalid(problem: string): CairnError {
  return new CairnError("invalid_container", `The chunk table is not valid: ${problem}`);
}

function unsupported(index: number, what: string): CairnError {
  return new CairnError("unsupported", `Chunk ${index} has the ${what}, which this reader does not know`);
}
