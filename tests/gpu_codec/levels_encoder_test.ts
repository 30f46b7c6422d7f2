import { Buffer } from "node:buffer";
import { describe, expect, test } from "bun:test";
import { crc32 } from "../../src/base/crc32/crc32.ts";
import type { DType } from "../../src/base/dtype.ts";
import { codecByName } from "../../src/container/codec/table.ts";
import type { BufferRange } from "../../src/gpu/buffer_range.ts";
import { BufferUsage } from "../../src/gpu/constants.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { type LevelsChunk, LevelsEncoder } from "../../src/gpu_codec/levels_encoder.ts";
import { asBytes, bytesOf, weightsOf } from "../container/samples.ts";
import { gpuTest, ownGpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";

const CHUNK_BYTES = 8192;

/** A shadow of weights, noise, zeros and moments, with a last chunk that is not whole. */
function shadowBytes(): Uint8Array {
  const raw = new Uint8Array(9 * CHUNK_BYTES + 768);
  raw.set(asBytes(weightsOf(raw.byteLength / 4, 1)));
  raw.set(bytesOf(CHUNK_BYTES + 100, 2), 2 * CHUNK_BYTES);
  raw.fill(0, 4 * CHUNK_BYTES, 5 * CHUNK_BYTES + 40);
  for (let i = 6 * CHUNK_BYTES / 4; i < 7 * CHUNK_BYTES / 4; i += 3) raw.fill(0, 4 * i, 4 * i + 4);
  return raw;
}

/** The bytes at offset 256 of a buffer. The caller destroys it. */
function uploaded(gpu: GpuDevice, raw: Uint8Array): BufferRange {
  const { STORAGE, COPY_DST, COPY_SRC } = BufferUsage;
  const buffer = gpu.createBuffer("shadow", raw.byteLength + 512, STORAGE | COPY_DST | COPY_SRC);
  gpu.write(buffer, 256, raw);
  return { buffer, offset: 256, size: raw.byteLength };
}

/** What the file has of these bytes when the CPU encodes them. */
function onHost(raw: Uint8Array, dtype: DType): LevelsChunk[] {
  const chunks: LevelsChunk[] = [];
  for (let at = 0; at < raw.byteLength; at += CHUNK_BYTES) {
    const chunk = raw.subarray(at, at + CHUNK_BYTES);
    const stored = codecByName("levels").encode(chunk, dtype)?.slice();
    const codec = stored === undefined ? "raw" : "levels";
    chunks.push({ codec, stored: stored ?? chunk, rawLength: chunk.byteLength, rawCrc: crc32(chunk) });
  }
  return chunks;
}

describe("LevelsEncoder", () => {
  for (const dtype of ["f32", "bf16"] as const) {
    gpuTest(`gives the chunks that the CPU makes of ${dtype}, in batches and all at once`, async (gpu) => {
      const raw = shadowBytes();
      const range = uploaded(gpu, raw);
      const expected = onHost(raw, dtype);
      expect(new Set(expected.map(({ codec }) => codec)).size).toBe(2);
      for (const batchBytes of [256, 3 * CHUNK_BYTES, 1 << 20]) {
        const encoder = new LevelsEncoder(gpu, { batchBytes });
        const chunks: LevelsChunk[] = [];
        for await (const chunk of encoder.encode({ range, dtype, chunkBytes: CHUNK_BYTES })) {
          chunks.push({ ...chunk, stored: chunk.stored.slice() });
        }
        encoder.close();
        expect(chunks.map(({ codec, rawLength, rawCrc }) => ({ codec, rawLength, rawCrc }))).toEqual(
          expected.map(({ codec, rawLength, rawCrc }) => ({ codec, rawLength, rawCrc })),
        );
        for (const [index, { stored }] of chunks.entries()) {
          const same = Buffer.compare(stored, expected[index]?.stored ?? new Uint8Array()) === 0;
          if (!same) throw new Error(`chunk ${index} in batches of ${batchBytes} differs`);
        }
      }
      gpu.destroyBuffer(range.buffer);
    });
  }

  gpuTest("takes one source after the other, also after one that was left early", async (gpu) => {
    const raw = shadowBytes();
    const range = uploaded(gpu, raw);
    const encoder = new LevelsEncoder(gpu, { batchBytes: 2 * CHUNK_BYTES });
    for await (const _ of encoder.encode({ range, dtype: "f32", chunkBytes: CHUNK_BYTES })) break;
    const part = { ...range, offset: 256 + 2 * CHUNK_BYTES, size: 1280 };
    const chunks: LevelsChunk[] = [];
    for await (const chunk of encoder.encode({ range: part, dtype: "f32", chunkBytes: 1024 })) {
      chunks.push(chunk);
    }
    expect(chunks.map(({ codec, rawLength }) => [codec, rawLength])).toEqual([["raw", 1024], ["raw", 256]]);
    encoder.close();
    gpu.destroyBuffer(range.buffer);
  });

  gpuTest("refuses ranges and chunks off the grid, and stops at an abort", async (gpu) => {
    const range = uploaded(gpu, shadowBytes());
    const encoder = new LevelsEncoder(gpu);
    const attempt = (change: Partial<BufferRange>, chunkBytes: number, signal?: AbortSignal) =>
      thrownBy(() =>
        encoder.encode({ range: { ...range, ...change }, dtype: "f32", chunkBytes }, signal).next()
      );
    for (const change of [{ offset: 128 }, { size: 0 }, { size: 1022 }]) {
      expect(await attempt(change, CHUNK_BYTES)).toBeInstanceOf(RangeError);
    }
    expect((await attempt({}, 1000)).message).toContain("multiples of 256");
    const size = gpu.limits.maxStorageBufferBindingSize + 256;
    expect((await attempt({ size }, CHUNK_BYTES)).code).toBe("limit_exceeded");
    const reason = new Error("enough");
    expect(await attempt({}, CHUNK_BYTES, AbortSignal.abort(reason))).toBe(reason);
    encoder.close();
    gpu.destroyBuffer(range.buffer);
  });

  ownGpuTest("fails when the device is lost on the way", async (gpu) => {
    const range = uploaded(gpu, shadowBytes());
    const encoder = new LevelsEncoder(gpu, { batchBytes: CHUNK_BYTES });
    const chunks = encoder.encode({ range, dtype: "f32", chunkBytes: CHUNK_BYTES });
    await chunks.next();
    gpu.device.destroy();
    const error = await thrownBy(async () => {
      for await (const _ of chunks);
    });
    expect(error.code).toBe("device_lost");
    encoder.close();
  });

  test("refuses batches of nothing", () => {
    expect(() => new LevelsEncoder({} as GpuDevice, { batchBytes: 0 })).toThrow("batchBytes is 0");
  });
});
