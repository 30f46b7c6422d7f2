import { hexOf } from "../../base/hex.ts";
import { alignUp } from "../../base/checked.ts";
import { crc32 } from "../../base/crc32/crc32.ts";
import { CairnError } from "../../base/errors.ts";
import type { Sliced } from "../../base/slices.ts";
import { isAllZero } from "../../base/little_endian.ts";
import { type ChunkRecord, chunkTableBytes, encodeChunkTable, parseChunkTable } from "./chunk_table.ts";
import type { Header } from "./header.ts";
import type { RawLayout } from "./layout.ts";
import { type Manifest, parseManifest } from "./manifest.ts";
import type { TensorColumns } from "./tensor_columns.ts";
import { encodeTensorTable, parseTensorTable } from "./tensor_table.ts";
import { encodeTrailer, FILE_ALIGNMENT, type Section, type Trailer, TRAILER_BYTES } from "./trailer.ts";

/**
 * The most bytes of tables, manifest and trailer that a writer writes, and a reader reads unless it is told
 * otherwise.
 */
export const DEFAULT_MAX_TABLE_BYTES: number = 16 * 1024 * 1024;

const MANIFEST_BYTES_PER_TENSOR = 32;
const MANIFEST_BASE_BYTES = 16 * 1024;

/** All that a container says about its data. */
export interface Tables {
  readonly layout: TensorColumns;
  readonly chunks: readonly ChunkRecord[];
  readonly manifest: Manifest;
}

/**
 * About how long the tail of a file with these tensors and chunks will be, before its manifest is known. It is taken
 * to name each tensor twice, as a state dict does.
 */
export function expectedTailBytes(layout: RawLayout, chunkCount: number): number {
  const nameChars = layout.tensors.reduce((sum, tensor) => sum + tensor.name.length, 0);
  const manifest = layout.tensors.length * MANIFEST_BYTES_PER_TENSOR + 2 * nameChars;
  return encodeTensorTable(layout.tensors).byteLength + chunkTableBytes(chunkCount) + manifest +
    MANIFEST_BASE_BYTES;
}

/**
 * Everything behind the data, as one piece: tensor table, chunk table, (empty) reference table, manifest,
 * trailer. `dataEnd` is where it goes in the file, a multiple of 64.
 */
export function encodeTail(
  tables: {
    readonly layout: RawLayout;
    readonly chunks: readonly ChunkRecord[];
    readonly manifest: Uint8Array;
  },
  header: Header,
  dataEnd: number,
): Uint8Array {
  const { layout, chunks, manifest } = tables;
  let at = dataEnd;
  const section = (bytes: Uint8Array, count: number): Section => {
    const offset = at;
    at = alignUp(offset + bytes.byteLength, FILE_ALIGNMENT);
    return { offset, byteLength: bytes.byteLength, crc: crc32(bytes), count };
  };
  const parts = [
    encodeTensorTable(layout.tensors),
    encodeChunkTable(chunks),
    new Uint8Array(0),
    manifest,
  ] as const;
  const trailer: Trailer = {
    tensors: section(parts[0], layout.tensors.length),
    chunks: section(parts[1], chunks.length),
    references: section(parts[2], 0),
    manifest: section(parts[3], 0),
    fileByteLength: at + TRAILER_BYTES,
    rawByteLength: layout.rawByteLength,
    headerCrc: header.headerCrc,
  };
  const tail = new Uint8Array(trailer.fileByteLength - dataEnd);
  tail.set(parts[0], trailer.tensors.offset - dataEnd);
  tail.set(parts[1], trailer.chunks.offset - dataEnd);
  tail.set(parts[3], trailer.manifest.offset - dataEnd);
  tail.set(encodeTrailer(trailer), at - dataEnd);
  return tail;
}

/**
 * Reads what stands between the data and the trailer, the manifest in slices; `bytes` begins with the tensor table.
 * Checks the checksum of every section before it looks inside. Throws `CairnError` with `checksum_mismatch`,
 * `invalid_container` or `unsupported`.
 */
export function* parseTail(bytes: Uint8Array, trailer: Trailer): Sliced<Tables> {
  const start = trailer.tensors.offset;
  const section = (name: string, { offset, byteLength, crc }: Section): Uint8Array => {
    const from = offset - start;
    const content = bytes.subarray(from, from + byteLength);
    const actual = crc32(content);
    if (actual !== crc) {
      throw new CairnError(
        "checksum_mismatch",
        `The ${name}'s checksum is ${hexOf(actual)}, expected ${hexOf(crc)}; the file is damaged there`,
        { details: { offset } },
      );
    }
    if (!isAllZero(bytes.subarray(from + byteLength, alignUp(from + byteLength, FILE_ALIGNMENT)))) {
      throw invalid(`The bytes behind the ${name} are not zero`);
    }
    return content;
  };
  const tensorBytes = section("tensor table", trailer.tensors);
  const chunkBytes = section("chunk table", trailer.chunks);
  section("reference table", trailer.references);
  const manifestBytes = section("manifest", trailer.manifest);

  const layout = parseTensorTable(tensorBytes, trailer.tensors.count);
  if (layout.rawByteLength !== trailer.rawByteLength) {
    throw invalid(
      `The tensors have ${layout.rawByteLength} raw bytes; the trailer says ${trailer.rawByteLength}`,
    );
  }
  const chunks = parseChunkTable(chunkBytes, trailer.chunks.count, layout, start);
  const manifest = yield* parseManifest(manifestBytes, (name) => {
    if (layout.indexOf(name) === undefined) {
      throw invalid(`The manifest refers to a tensor "${name}", which is not in the file`);
    }
  });
  return { layout, chunks, manifest };
}

function invalid(message: string): CairnError {
  return new CairnError("invalid_container", message);
}
