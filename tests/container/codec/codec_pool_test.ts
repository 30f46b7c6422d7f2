import { describe, expect, test } from "bun:test";
import { CodecPool } from "../../../src/container/codec/codec_pool.ts";
import { planesCodec } from "../../../src/container/codec/planes.ts";
import { ContainerReader } from "../../../src/container/container_reader.ts";
import { ContainerWriter } from "../../../src/container/container_writer.ts";
import { BytesSink, bytesSource } from "../../../src/container/source.ts";
import { writeContainer } from "../../../src/container/write_container.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { asBytes, bytesOf, FILE_ID, manifestOf, weightsOf } from "../samples.ts";

async function withPool<T>(workers: number, work: (pool: CodecPool) => Promise<T>): Promise<T> {
  const pool = CodecPool.open(workers);
  if (pool === undefined) throw new Error("this runtime has no workers");
  try {
    return await work(pool);
  } finally {
    await pool.close();
  }
}

const weights = asBytes(weightsOf(1 << 17, 5));
const tensors = [
  { spec: { name: "weights", dtype: "f32", shape: [1 << 17] } as const, bytes: weights },
  { spec: { name: "noise", dtype: "u8", shape: [1 << 17] } as const, bytes: bytesOf(1 << 17, 1) },
  { spec: { name: "more", dtype: "f32", shape: [1 << 16] } as const, bytes: asBytes(weightsOf(1 << 16, 2)) },
];

describe("CodecPool", () => {
  test("encodes as this thread does, takes the bytes over, and decodes them again", async () => {
    await withPool(2, async (pool) => {
      const raw = weights.slice();
      const encoded = await pool.encode(raw, "f32", ["planes"]);
      expect(raw.byteLength).toBe(0);
      expect(encoded.codec).toBe("planes");
      expect(Buffer.compare(encoded.stored, planesCodec.encode(weights, "f32") as Uint8Array)).toBe(0);
      const back = await pool.decode(encoded.stored.slice(), weights.byteLength, "f32", "planes");
      expect(Buffer.compare(back, weights)).toBe(0);
    });
  });

  test("passes on what a codec throws, and goes on", async () => {
    await withPool(1, async (pool) => {
      const error = await thrownBy(() => pool.decode(new Uint8Array(9), 1024, "f32", "planes"));
      expect([error.name, error.code]).toEqual(["CairnError", "invalid_container"]);
      expect((await pool.encode(bytesOf(4096, 1) as Uint8Array<ArrayBuffer>, "u8", ["planes"])).codec).toBe(
        "raw",
      );
    });
  });

  test("rejects what is under way when it is closed, and all that comes later", async () => {
    await withPool(1, async (pool) => {
      const work = thrownBy(() => pool.encode(weights.slice(), "f32", ["planes"]));
      await pool.close();
      expect((await work).code).toBe("closed");
      expect((await thrownBy(() => pool.encode(weights.slice(), "f32", []))).code).toBe("closed");
    });
  });

  test("refuses a number of workers that cannot be", () => {
    for (const count of [0, -1, 1.5, NaN, 65]) expect(() => CodecPool.open(count)).toThrow(RangeError);
  });
});

describe("ContainerWriter with a pool", () => {
  const options = { fileId: FILE_ID, chunkBytes: 1 << 16, manifest: manifestOf(null), tensors };

  test("makes the same file as without, in whatever pieces the bytes come", async () => {
    const alone = await writeContainer(options);
    await withPool(2, async (pool) => {
      expect(Buffer.compare(await writeContainer({ ...options, pool }), alone)).toBe(0);
      const sink = new BytesSink();
      const writer = await ContainerWriter.create(sink, {
        ...options,
        tensors: tensors.map(({ spec }) => spec),
        pool,
      });
      const raw = await (await ContainerReader.open(bytesSource(alone))).readRange(
        0,
        writer.layout.rawByteLength,
      );
      for (let at = 0; at < raw.byteLength; at += 100_000) {
        const piece = raw.slice(at, at + 100_000);
        await writer.write(piece);
        piece.fill(0xee);
      }
      await writer.finish(options.manifest);
      expect(Buffer.compare(sink.toBytes(), alone)).toBe(0);
    });
  });

  test("reports progress in order, with no more under way than it says", async () => {
    await withPool(2, async (pool) => {
      const seen: number[] = [];
      await writeContainer({ ...options, pool, onProgress: ({ done }) => void seen.push(done) });
      expect(seen).toEqual(Array.from({ length: 14 }, (_, i) => (i + 1) << 16));
    });
  });

  test("passes on the sink's error and an abort, and leaves the pool usable", async () => {
    await withPool(2, async (pool) => {
      const failure = new Error("disk");
      let writes = 0;
      const sink = { write: () => writes++ === 3 ? Promise.reject(failure) : Promise.resolve() };
      const writer = await ContainerWriter.create(sink, {
        fileId: FILE_ID,
        chunkBytes: 1 << 16,
        tensors: tensors.map(({ spec }) => spec),
        pool,
      });
      expect(await thrownBy(() => writer.write(weights))).toBe(failure);
      const controller = new AbortController();
      const reason = new Error("stop");
      const work = writeContainer({
        ...options,
        pool,
        signal: controller.signal,
        onProgress: () => controller.abort(reason),
      });
      expect(await thrownBy(() => work)).toBe(reason);
      expect(Buffer.compare(await writeContainer({ ...options, pool }), await writeContainer(options))).toBe(
        0,
      );
    });
  });
});
