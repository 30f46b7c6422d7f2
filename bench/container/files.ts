import { Buffer } from "node:buffer";
import { closeSync, openSync, writeSync } from "node:fs";
import type { CodecPool } from "../../src/container/codec/codec_pool.ts";
import type { CodecName } from "../../src/container/codec/table.ts";
import { ContainerWriter, type WriteReport } from "../../src/container/write/container_writer.ts";
import type { TensorSpec } from "../../src/container/format/layout.ts";
import type { Manifest } from "../../src/container/format/manifest.ts";
import type { ByteSink } from "../../src/container/source.ts";

export const MiB: number = 1024 * 1024;

// A prime number of MiB, so that nothing repeats where a chunk or a tensor does.
const weights = gaussianBytes(13 * MiB);

/** What a bench's file is to be. */
export interface BenchFile {
  readonly path: string;
  readonly tensors: readonly TensorSpec[];
  readonly codec: CodecName;
  readonly state?: Manifest["state"];
  readonly pool?: CodecPool | undefined;
}

/** Writes the same weights again and again, as the tensors' bytes. */
export async function writeFile(
  { path, tensors, codec, state = null, pool }: BenchFile,
): Promise<WriteReport> {
  const file = openSync(path, "wx");
  const sink: ByteSink = {
    write(bytes) {
      for (let at = 0; at < bytes.byteLength;) at += writeSync(file, bytes, at, bytes.byteLength - at);
      return Promise.resolve();
    },
  };
  try {
    const fileId = new Uint8Array(16);
    const writer = await ContainerWriter.create(sink, { tensors, codec, fileId, pool });
    const { rawByteLength } = writer.layout;
    for (let at = 0; at < rawByteLength;) {
      const start = at % weights.byteLength;
      const piece = weights.subarray(start, Math.min(start + MiB, start + rawByteLength - at));
      await writer.write(piece);
      at += piece.byteLength;
    }
    return await writer.finish({ kind: "tensors", state, metrics: {}, provenance: {}, user: null });
  } finally {
    closeSync(file);
  }
}

/** Throws unless `bytes` are what {@link writeFile} wrote at `rawOffset`. */
export function check(bytes: Uint8Array, rawOffset: number): void {
  for (let at = 0; at < bytes.byteLength;) {
    const start = (rawOffset + at) % weights.byteLength;
    const length = Math.min(bytes.byteLength - at, weights.byteLength - start);
    if (Buffer.compare(bytes.subarray(at, at + length), weights.subarray(start, start + length)) !== 0) {
      throw new Error(`The bytes at ${rawOffset + at} are not those that were written`);
    }
    at += length;
  }
}

/** Weights as after training: normal, f32. */
function gaussianBytes(byteLength: number): Uint8Array {
  const values = new Float32Array(byteLength / 4);
  let state = 12345;
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  for (let index = 0; index < values.length; index++) {
    values[index] = 0.05 * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  }
  return new Uint8Array(values.buffer);
}
