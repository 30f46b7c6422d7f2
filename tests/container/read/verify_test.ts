import { describe, expect, test } from "bun:test";
import { CodecPool } from "../../../src/container/codec/codec_pool.ts";
import type { CodecName } from "../../../src/container/codec/table.ts";
import { ContainerReader } from "../../../src/container/read/container_reader.ts";
import { type ByteSource, bytesSource } from "../../../src/container/source.ts";
import { writeContainer } from "../../../src/container/write/write_container.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { asBytes, FILE_ID, manifestOf, tensorOf, weightsOf } from "../samples.ts";

const CHUNK_BYTES = 64 * 1024;

/** Weights that `planes` compresses, and noise that stays raw, with padding between tensors. */
const TENSORS = [
  { spec: { name: "a", dtype: "f32", shape: [200_001] } as const, bytes: asBytes(weightsOf(200_001, 1)) },
  tensorOf("noise", "u8", [150_001], 3),
  { spec: { name: "b", dtype: "f32", shape: [70_001] } as const, bytes: asBytes(weightsOf(70_001, 2)) },
];

function fileBy(codec: CodecName): Promise<Uint8Array> {
  return writeContainer({
    tensors: TENSORS,
    codec,
    chunkBytes: CHUNK_BYTES,
    fileId: FILE_ID,
    manifest: manifestOf(null),
  });
}

async function withPool<T>(work: (pool: CodecPool) => Promise<T>): Promise<T> {
  const pool = CodecPool.open(2) as CodecPool;
  try {
    return await work(pool);
  } finally {
    await pool.close();
  }
}

function flip(file: Uint8Array, at: number): void {
  file[at] = (file[at] as number) ^ 4;
}

describe("verify with a pool", () => {
  for (const codec of ["planes", "deflate", "raw"] as const) {
    test(`finds the same as without, in the same order, in a file by ${codec}`, async () => {
      const file = await fileBy(codec);
      await withPool(async (pool) => {
        const sound = await ContainerReader.open(bytesSource(file), { pool });
        expect(await sound.verify()).toEqual({ ok: true, damaged: [] });
        const last = sound.chunks.length - 1;
        for (const index of [2, 3, 5, 14, last]) {
          const { storedOffset, storedLength } = sound.chunks[index] as (typeof sound.chunks)[number];
          flip(file, storedOffset + (storedLength >>> 1));
        }
        const alone = await (await ContainerReader.open(bytesSource(file))).verify();
        expect(alone.damaged.map(({ chunk, tensors }) => [chunk, tensors])).toEqual([
          [2, ["a"]],
          [3, ["a"]],
          [5, ["a"]],
          [14, ["noise"]],
          [last, ["b"]],
        ]);
        const pooled = await ContainerReader.open(bytesSource(file), { pool });
        expect(await pooled.verify()).toEqual(alone);
        expect(await pooled.verify()).toEqual(alone);
      });
    });
  }

  test("reports progress in order, up to the whole", async () => {
    const file = await fileBy("planes");
    await withPool(async (pool) => {
      const reader = await ContainerReader.open(bytesSource(file), { pool });
      const seen: number[] = [];
      await reader.verify({ onProgress: ({ done }) => void seen.push(done) });
      expect(seen).toEqual(reader.chunks.map(({ rawOffset, rawLength }) => rawOffset + rawLength));
    });
  });

  test("stops at an abort or a failure of the source, and leaves the pool usable", async () => {
    const file = await fileBy("planes");
    await withPool(async (pool) => {
      const reader = await ContainerReader.open(bytesSource(file), { pool });
      const controller = new AbortController();
      const reason = new Error("stop");
      const onProgress = (): void => controller.abort(reason);
      expect(await thrownBy(() => reader.verify({ signal: controller.signal, onProgress }))).toBe(reason);
      const failure = new Error("the disk is gone");
      const inner = bytesSource(file);
      let reads = 0;
      const source: ByteSource = {
        byteLength: inner.byteLength,
        read: (offset, into) => ++reads === 9 ? Promise.reject(failure) : inner.read(offset, into),
      };
      const failing = await ContainerReader.open(source, { pool });
      expect(await thrownBy(() => failing.verify())).toBe(failure);
      expect((await reader.verify()).ok).toBe(true);
    });
  });

  test("takes a chunk that is no longer there for a damaged one", async () => {
    const file = await fileBy("planes");
    await withPool(async (pool) => {
      const reader = await ContainerReader.open(bytesSource(file), { pool });
      const cut = reader.chunks.at(-1)?.storedOffset ?? 0;
      let isCut = false;
      const shrunk = await ContainerReader.open({
        byteLength: file.byteLength,
        read: (offset, into) => bytesSource(isCut ? file.subarray(0, cut + 10) : file).read(offset, into),
      }, { pool });
      isCut = true;
      const { damaged } = await shrunk.verify();
      expect(damaged.map(({ chunk, tensors }) => [chunk, tensors])).toEqual([
        [reader.chunks.length - 1, ["b"]],
      ]);
    });
  });

  test("does not call a closed pool damage", async () => {
    const file = await fileBy("planes");
    const pool = CodecPool.open(1) as CodecPool;
    const reader = await ContainerReader.open(bytesSource(file), { pool });
    await pool.close();
    expect(await thrownBy(() => reader.verify())).toMatchObject({ code: "closed" });
  });
});
