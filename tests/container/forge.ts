import { crc32OfTables } from "../../src/base/crc32/crc32_tables.ts";

/**
 * A container taken apart, to be changed and put together again with all its checksums right, so that a
 * reader has to notice the change itself. Written from FORMAT.md, not with the writer's code.
 */
export interface Parts {
  /** The first 4096 bytes. */
  header: Uint8Array;
  /** From 4096 to the tensor table. */
  data: Uint8Array;
  tensors: Uint8Array;
  tensorCount: number;
  chunks: Uint8Array;
  chunkCount: number;
  references: Uint8Array;
  referenceCount: number;
  manifest: Uint8Array;
  manifestCount: number;
  rawByteLength: number;
  /** Called with the trailer when all its fields but its own checksum are there. */
  editTrailer?: (view: DataView) => void;
  /** Whether to leave the header's old checksum. */
  keepHeaderCrc?: boolean;
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const u64 = (view: DataView, at: number): number => Number(view.getBigUint64(at, true));

export function takeApart(file: Uint8Array): Parts {
  const trailer = viewOf(file.subarray(file.byteLength - 128));
  const section = (at: number): Uint8Array =>
    file.slice(u64(trailer, at), u64(trailer, at) + u64(trailer, at + 8));
  return {
    header: file.slice(0, 4096),
    data: file.slice(4096, u64(trailer, 0)),
    tensors: section(0),
    tensorCount: trailer.getUint32(20, true),
    chunks: section(24),
    chunkCount: trailer.getUint32(44, true),
    references: section(48),
    referenceCount: trailer.getUint32(68, true),
    manifest: section(72),
    manifestCount: 0,
    rawByteLength: u64(trailer, 104),
  };
}

export function putTogether(parts: Parts): Uint8Array {
  const header = parts.header.slice();
  if (!parts.keepHeaderCrc) viewOf(header).setUint32(60, crc32OfTables(header.subarray(0, 60)), true);
  const pieces = [header, parts.data];
  const trailer = new Uint8Array(128);
  const view = viewOf(trailer);
  let at = header.byteLength + parts.data.byteLength;
  const sections: [Uint8Array, number][] = [
    [parts.tensors, parts.tensorCount],
    [parts.chunks, parts.chunkCount],
    [parts.references, parts.referenceCount],
    [parts.manifest, parts.manifestCount],
  ];
  for (const [index, [bytes, count]] of sections.entries()) {
    view.setBigUint64(24 * index, BigInt(at), true);
    view.setBigUint64(24 * index + 8, BigInt(bytes.byteLength), true);
    view.setUint32(24 * index + 16, crc32OfTables(bytes), true);
    view.setUint32(24 * index + 20, count, true);
    const padding = new Uint8Array((64 - (bytes.byteLength % 64)) % 64);
    pieces.push(bytes, padding);
    at += bytes.byteLength + padding.byteLength;
  }
  view.setBigUint64(96, BigInt(at + 128), true);
  view.setBigUint64(104, BigInt(parts.rawByteLength), true);
  view.setUint32(112, viewOf(header).getUint32(60, true), true);
  trailer.set([0x89, 0x43, 0x52, 0x4e, 0x45, 0x4e, 0x44, 0x0a], 120);
  parts.editTrailer?.(view);
  view.setUint32(116, crc32OfTables(trailer.subarray(0, 116)), true);
  return new Uint8Array(Buffer.concat([...pieces, trailer]));
}

/** The file with its parts changed by `edit` and all checksums right again. */
export function forged(file: Uint8Array, edit: (parts: Parts) => void): Uint8Array {
  const parts = takeApart(file);
  edit(parts);
  return putTogether(parts);
}

/** Where the columns of a tensor table are, by the count of tensors and of sizes in all. */
export function tensorColumns(tensors: Uint8Array, count: number): Record<string, number> {
  const dimensions = viewOf(tensors).getUint32(0, true);
  const sizes = 8 + 16 * count;
  const alias = sizes + 8 * dimensions;
  return {
    rawOffset: 8,
    byteLength: 8 + 8 * count,
    sizes,
    alias,
    nameLength: alias + 4 * count,
    dtype: alias + 6 * count,
    rank: alias + 7 * count,
    names: alias + 8 * count,
  };
}

/** Sets a number of one, two, four or eight bytes. */
export function poke(bytes: Uint8Array, at: number, width: 1 | 2 | 4 | 8, value: number | bigint): void {
  const view = viewOf(bytes);
  if (width === 1) view.setUint8(at, Number(value));
  else if (width === 2) view.setUint16(at, Number(value), true);
  else if (width === 4) view.setUint32(at, Number(value), true);
  else view.setBigUint64(at, BigInt(value), true);
}

export function peek(bytes: Uint8Array, at: number, width: 1 | 2 | 4 | 8): bigint {
  const view = viewOf(bytes);
  if (width === 1) return BigInt(view.getUint8(at));
  if (width === 2) return BigInt(view.getUint16(at, true));
  return width === 4 ? BigInt(view.getUint32(at, true)) : view.getBigUint64(at, true);
}
