import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import zlib from "node:zlib";
import { zlibSync } from "fflate";
import { byteSizeOf, type DType } from "../../src/base/dtype.ts";
import { splitPlanes } from "../../src/container/codec/byte_planes.ts";
import { withKernels } from "../../src/container/codec/planes/chosen_kernels.ts";
import { portableKernels } from "../../src/container/codec/planes/portable_kernels.ts";
import { codecByName, type CodecName } from "../../src/container/codec/table.ts";
import { CHUNK_BYTES } from "./samples.ts";

/** A codec from elsewhere, in the form of ours. */
export interface Baseline {
  readonly name: string;
  /**
   * As `Codec.encode` and `Codec.decode`: one that can puts its result in `into`, as in a writer or a reader of a
   * container.
   */
  encode(raw: Uint8Array, dtype: DType, into?: Uint8Array): Uint8Array | Promise<Uint8Array>;
  decode(
    stored: Uint8Array,
    rawLength: number,
    dtype: DType,
    into?: Uint8Array,
  ): Uint8Array | Promise<Uint8Array>;
}

const PEERS = new URL("../peers/blosc/", import.meta.url);

/** What the package `numcodecs` has of Blosc. */
interface BloscCodec {
  encode(raw: Uint8Array): Promise<Uint8Array>;
  decode(stored: Uint8Array): Promise<Uint8Array>;
}

const { constants } = zlib;
/** An order-0 Huffman code, by `node:zlib`. */
export const huffmanOnly: Baseline = {
  name: "huffman-only",
  encode: (raw) => zlib.deflateSync(raw, { level: 1, strategy: constants.Z_HUFFMAN_ONLY }),
  decode: (stored, length) => zlib.inflateSync(stored, { chunkSize: length }),
};
/** DEFLATE of level 6, by `node:zlib`. */
export const deflate6: Baseline = {
  name: "deflate 6",
  encode: (raw) => zlib.deflateSync(raw, { level: 6 }),
  decode: (stored, length) => zlib.inflateSync(stored, { chunkSize: length }),
};
/** DEFLATE of level 6, by `fflate`; decoded by `node:zlib`. */
export const fflate6: Baseline = {
  name: "fflate 6",
  encode: (raw) => zlibSync(raw, { level: 6 }),
  decode: (stored, length) => zlib.inflateSync(stored, { chunkSize: length }),
};

/** zstd on the raw bytes, or on all byte planes one after the other (the `shuffle` of HDF5 and Blosc). */
export function zstd(level: number, isShuffled: boolean): Baseline {
  const params = { [constants.ZSTD_c_compressionLevel]: level };
  const shuffled = new Uint8Array(CHUNK_BYTES);
  return {
    name: `zstd ${level}${isShuffled ? " shuffled" : ""}`,
    encode(raw, dtype) {
      if (!isShuffled) return zlib.zstdCompressSync(raw, { params });
      const planes = shuffled.subarray(0, raw.byteLength);
      splitPlanes(raw, byteSizeOf(dtype), planes);
      return zlib.zstdCompressSync(planes, { params });
    },
    decode(stored, length, dtype) {
      const planes = zlib.zstdDecompressSync(stored, { maxOutputLength: length });
      return isShuffled ? unshuffled(planes, byteSizeOf(dtype)) : planes;
    },
  };
}

/** In whole words: what a good JavaScript unshuffle does. */
function unshuffled(planes: Uint8Array, size: number): Uint8Array {
  const count = planes.byteLength / size;
  if (size === 1) return planes;
  if (size === 2) {
    const halves = new Uint16Array(count);
    for (let i = 0; i < count; i++) halves[i] = (planes[i] as number) | ((planes[count + i] as number) << 8);
    return new Uint8Array(halves.buffer);
  }
  const words = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    words[i] = (planes[i] as number) | ((planes[count + i] as number) << 8) |
      ((planes[2 * count + i] as number) << 16) | ((planes[3 * count + i] as number) << 24);
  }
  return new Uint8Array(words.buffer);
}

/** One of our codecs; a chunk that it does not take is stored raw. */
export function ours(name: CodecName): Baseline {
  const codec = codecByName(name);
  return {
    name,
    encode: (raw, dtype, into) => codec.encode(raw, dtype, into) ?? raw,
    decode: (stored, length, dtype, into) =>
      stored.byteLength === length ? stored : codec.decode(stored, length, dtype, into),
  };
}

/** `planes` as it runs where there is no WebAssembly. */
export function planesInTypeScript(): Baseline {
  const codec = ours("planes");
  const kernels = portableKernels();
  return {
    name: "planes, no WASM",
    encode: (raw, dtype, into) => withKernels(kernels, () => codec.encode(raw, dtype, into)),
    decode: (stored, length, dtype, into) =>
      withKernels(kernels, () => codec.decode(stored, length, dtype, into)),
  };
}

/**
 * Blosc as the npm package `numcodecs` has it, in WebAssembly on one core: LZ4 of level 5 (its default) and zstd of
 * level 1, both on bytes shuffled as elements of four. Installed into bench/peers/blosc when it is not there. Where
 * it cannot be, the reason.
 */
export async function bloscBaselines(): Promise<readonly Baseline[] | string> {
  try {
    install();
    const module = new URL("node_modules/numcodecs/dist/blosc.js", PEERS).href;
    const { default: Blosc } = await import(module) as {
      default: new (level: number, compressor: string) => BloscCodec;
    };
    return [["lz4", 5] as const, ["zstd", 1] as const].map(([compressor, level]): Baseline => {
      const codec = new Blosc(level, compressor);
      return {
        name: `blosc ${compressor} ${level}`,
        encode: (raw) => codec.encode(raw),
        decode: (stored) => codec.decode(stored),
      };
    });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function install(): void {
  if (existsSync(new URL("node_modules/numcodecs/package.json", PEERS))) return;
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const args = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
  const { status, stderr, error } = spawnSync(npm, args, { cwd: fileURLToPath(PEERS), encoding: "utf8" });
  if (status === 0) return;
  throw new Error(
    `npm ci in bench/peers/blosc failed: ${error?.message ?? stderr?.trim().split("\n").at(-1)}`,
  );
}
