import { crc32OfTables } from "../../src/base/crc32/crc32_tables.ts";
import { CairnError } from "../../src/base/errors.ts";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { bytesSource } from "../../src/container/source.ts";
import { writeContainer } from "../../src/container/write/write_container.ts";
import { type Parts, peek, poke, tensorColumns } from "./forge.ts";
import { FILE_ID, sampleManifest, sampleTensors } from "./samples.ts";

/** The sample has five tensors (weight, bias, empty, step, tied) with seven sizes... */
export const TENSORS = 5;
/** ...in three chunks of 256 raw bytes, two of f32 and one of i64. */
export const CHUNKS = 3;

/** The good file that the bad ones are made of. */
export async function goodFile(): Promise<Uint8Array> {
  return await writeContainer({
    tensors: sampleTensors(),
    manifest: sampleManifest(),
    fileId: FILE_ID,
    codec: "raw",
    chunkBytes: 256,
  });
}

export type Edit = (parts: Parts) => void;
type Width = 1 | 2 | 4 | 8;

/** Where the columns of the sample's chunk table start. */
export const CHUNK: Readonly<
  Record<"storedOffset" | "storedLength" | "rawLength" | "storedCrc" | "rawCrc" | "codec" | "dtype", number>
> = {
  storedOffset: 0,
  storedLength: 8 * CHUNKS,
  rawLength: 12 * CHUNKS,
  storedCrc: 16 * CHUNKS,
  rawCrc: 20 * CHUNKS,
  codec: 24 * CHUNKS,
  dtype: 25 * CHUNKS,
};

export function both(...edits: Edit[]): Edit {
  return (parts) => edits.forEach((edit) => edit(parts));
}

export function header(at: number, width: Width, value: number | bigint): Edit {
  return (parts) => poke(parts.header, at, width, value);
}

export function trailer(at: number, width: 4 | 8, value: number | bigint): Edit {
  return (parts) => {
    parts.editTrailer = (view) => poke(new Uint8Array(view.buffer), at, width, value);
  };
}

/** Adds `delta` to a number of the trailer. */
export function trailerBy(at: number, width: 4 | 8, delta: number): Edit {
  return (parts) => {
    parts.editTrailer = (view) => {
      const bytes = new Uint8Array(view.buffer);
      poke(bytes, at, width, peek(bytes, at, width) + BigInt(delta));
    };
  };
}

export function tensor(column: string, index: number, width: Width, value: number | bigint): Edit {
  return (parts) => {
    const start = tensorColumns(parts.tensors, TENSORS)[column] as number;
    poke(parts.tensors, start + index * width, width, value);
  };
}

export function chunk(
  column: keyof typeof CHUNK,
  index: number,
  width: 1 | 4 | 8,
  value: number | bigint,
): Edit {
  return (parts) => poke(parts.chunks, CHUNK[column] + index * width, width, value);
}

/** Replaces the name of tensor `index` by other bytes. */
export function rename(index: number, name: Uint8Array): Edit {
  return (parts) => {
    const { nameLength = 0, names = 0 } = tensorColumns(parts.tensors, TENSORS);
    const lengthOf = (i: number): number => Number(peek(parts.tensors, nameLength + 2 * i, 2));
    let start = names;
    for (let i = 0; i < index; i++) start += lengthOf(i);
    const end = start + lengthOf(index);
    const pieces = [parts.tensors.subarray(0, start), name, parts.tensors.subarray(end)];
    parts.tensors = new Uint8Array(Buffer.concat(pieces));
    poke(parts.tensors, nameLength + 2 * index, 2, name.byteLength);
    poke(parts.tensors, 4, 4, peek(parts.tensors, 4, 4) + BigInt(name.byteLength - (end - start)));
  };
}

export function renameTo(index: number, name: string): Edit {
  return rename(index, new TextEncoder().encode(name));
}

/** Replaces the first chunk (weight) by stored bytes of the codec deflate, with right checksums. */
export function deflated(stored: Uint8Array, raw: Uint8Array = new Uint8Array(256)): Edit {
  return (parts) => {
    const padded = new Uint8Array(Math.ceil(stored.byteLength / 64) * 64);
    padded.set(stored);
    parts.data = new Uint8Array(Buffer.concat([padded, parts.data.subarray(256)]));
    both(
      chunk("storedLength", 0, 4, stored.byteLength),
      chunk("rawLength", 0, 4, raw.byteLength),
      chunk("storedCrc", 0, 4, crc32OfTables(stored)),
      chunk("rawCrc", 0, 4, crc32OfTables(raw)),
      chunk("codec", 0, 1, 1),
      chunk("storedOffset", 1, 8, 4096 + padded.byteLength),
      chunk("storedOffset", 2, 8, 4096 + padded.byteLength + 256),
    )(parts);
  };
}

/** Four planes of 64 elements as the codec deflate stores them. */
export function planes(...parts: Uint8Array[]): Uint8Array {
  const lengths = Uint32Array.from(parts, (part) => part.byteLength);
  return new Uint8Array(Buffer.concat([new Uint8Array(lengths.buffer), ...parts]));
}

/** The code that opening or verifying the file gives, or "accepted". */
export async function codeOf(bytes: Uint8Array): Promise<string> {
  try {
    const reader = await ContainerReader.open(bytesSource(bytes));
    const { ok } = await reader.verify();
    for (const { name } of reader.tensors) await reader.read(name);
    return ok ? "accepted" : "damaged, but reads";
  } catch (error) {
    if (error instanceof CairnError) return error.code;
    throw error;
  }
}
