import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../src/base/crc32/crc32.ts";
import type { DType } from "../../../src/base/dtype.ts";
import { CodecPool } from "../../../src/container/codec/codec_pool.ts";
import { startThread } from "../../../src/container/codec/codec_thread.ts";
import type { ChunkSums } from "../../../src/container/codec/decode_checked.ts";
import { planesCodec } from "../../../src/container/codec/planes/planes.ts";
import { codecByName } from "../../../src/container/codec/table.ts";
import { ContainerReader } from "../../../src/container/read/container_reader.ts";
import { ContainerWriter } from "../../../src/container/write/container_writer.ts";
import { BytesSink, bytesSource } from "../../../src/container/source.ts";
import { writeContainer } from "../../../src/container/write/write_container.ts";
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

/** What a container says of a chunk. */
function sumsOf(stored: Uint8Array, raw: Uint8Array, dtype: DType): ChunkSums {
  return { dtype, rawLength: raw.byteLength, storedCrc: crc32(stored), rawCrc: crc32(raw) };
}

/** Runs `work` as in a browser's page that is not isolated from other origins. */
async function withoutSharedMemory<T>(work: () => Promise<T>): Promise<T> {
  const shared = globalThis.SharedArrayBuffer;
  Reflect.set(globalThis, "SharedArrayBuffer", undefined);
  try {
    return await work();
  } finally {
    globalThis.SharedArrayBuffer = shared;
  }
}

describe("CodecPool", () => {
  test("encodes as this thread does, by every codec, leaves its input alone, and decodes it again", async () => {
    await withPool(2, async (pool) => {
      for (const name of ["planes", "deflate"] as const) {
        const raw = weights.slice();
        const work = pool.encode(raw, "f32", [name]);
        expect(raw.byteLength).toBe(weights.byteLength);
        raw.fill(0xee);
        const encoded = await work;
        expect(encoded.stored.buffer instanceof SharedArrayBuffer).toBe(true);
        const expected = codecByName(name).encode(weights, "f32") as Uint8Array;
        const { codec, storedCrc, rawCrc } = encoded;
        expect({ codec, storedCrc, rawCrc }).toEqual({
          codec: name,
          storedCrc: crc32(expected),
          rawCrc: crc32(weights),
        });
        expect(Buffer.compare(encoded.stored, expected)).toBe(0);
        const decoded = await pool.decode(encoded.stored, name, sumsOf(expected, weights, "f32"));
        expect(Buffer.compare(decoded.bytes, weights)).toBe(0);
        encoded.release();
        decoded.release();
      }
    });
  });

  test("gives noise back as it is, and the smallest of several codecs", async () => {
    await withPool(1, async (pool) => {
      const noise = bytesOf(70_000, 1);
      const encoded = await pool.encode(noise, "u8", ["planes", "zstd"]);
      expect(encoded.codec).toBe("raw");
      expect(Buffer.compare(encoded.stored, noise)).toBe(0);
      const repeated = Uint8Array.from({ length: 70_000 }, (_, i) => noise[i % 999] as number);
      const other = await pool.encode(repeated, "u8", ["planes", "zstd"]);
      expect(other.codec).toBe("zstd");
      const { storedCrc, rawCrc } = other;
      const sums = { dtype: "u8", rawLength: 70_000, storedCrc, rawCrc } as const;
      const decoded = await pool.decode(other.stored, "zstd", sums);
      expect(Buffer.compare(decoded.bytes, repeated)).toBe(0);
    });
  });

  test("says what is wrong with a chunk, in the order of the format, and goes on", async () => {
    await withPool(1, async (pool) => {
      const stored = planesCodec.encode(weights, "f32") as Uint8Array;
      const sums = sumsOf(stored, weights, "f32");
      const wrong = { ...sums, storedCrc: sums.storedCrc ^ 1, rawLength: 12 };
      const first = await thrownBy(() => pool.decode(stored, "planes", wrong));
      expect([first.name, first.code]).toEqual(["CairnError", "checksum_mismatch"]);
      const short = { ...sums, rawLength: sums.rawLength - 256 };
      expect((await thrownBy(() => pool.decode(stored, "planes", short))).code).toBe("invalid_container");
      const last = await thrownBy(() => pool.decode(stored, "planes", { ...sums, rawCrc: 5 }));
      expect(last).toMatchObject({ code: "checksum_mismatch" });
      expect(last.message).toContain("expected 00000005");
      const { bytes } = await pool.decode(stored, "planes", sums);
      expect(Buffer.compare(bytes, weights)).toBe(0);
    });
  });

  test("keeps many jobs apart", async () => {
    await withPool(2, async (pool) => {
      const chunks = Array.from({ length: 9 }, (_, i) => asBytes(weightsOf(20_000 + 5000 * (i % 4), i)));
      const encoded = await Promise.all(chunks.map((raw) => pool.encode(raw, "f32", ["planes"])));
      const decoded = await Promise.all(encoded.map(({ stored, storedCrc, rawCrc }, i) => {
        const { byteLength } = chunks[i] as Uint8Array;
        return pool.decode(stored, "planes", { dtype: "f32", rawLength: byteLength, storedCrc, rawCrc });
      }));
      for (const [i, { bytes }] of decoded.entries()) {
        expect(Buffer.compare(bytes, chunks[i] as Uint8Array)).toBe(0);
      }
    });
  });

  test("rejects what is under way when it is closed, and all that comes later", async () => {
    const silent = new URL("./silent_worker.ts", import.meta.url);
    const pool = CodecPool.openWith(1, (listeners) => startThread(listeners, silent)) as CodecPool;
    const underWay = thrownBy(() => pool.encode(weights, "f32", ["planes"]));
    await pool.close();
    expect((await underWay).code).toBe("closed");
    expect((await thrownBy(() => pool.encode(weights, "f32", []))).code).toBe("closed");
  });

  test("takes a buffer back after it was closed", async () => {
    await withPool(1, async (pool) => {
      const { stored, release } = await pool.encode(weights, "f32", ["planes"]);
      await pool.close();
      expect(Buffer.compare(stored, planesCodec.encode(weights, "f32") as Uint8Array)).toBe(0);
      release();
    });
  });

  test("uses a buffer again once it was released, and only once for each release", async () => {
    await withPool(1, async (pool) => {
      const first = await pool.encode(weights, "f32", ["planes"]);
      const second = await pool.encode(weights, "f32", ["planes"]);
      expect(second.stored.buffer === first.stored.buffer).toBe(false);
      first.release();
      first.release();
      const third = await pool.encode(weights, "f32", ["planes"]);
      const fourth = await pool.encode(weights, "f32", ["planes"]);
      expect(third.stored.buffer === first.stored.buffer).toBe(true);
      const buffers = [second, third, fourth].map(({ stored }) => stored.buffer);
      expect(new Set(buffers).size).toBe(3);
      expect(Buffer.compare(second.stored, fourth.stored)).toBe(0);
    });
  });

  test("releases the buffers of jobs that failed, and makes a buffer larger for a larger chunk", async () => {
    await withPool(1, async (pool) => {
      const small = await pool.encode(weights.subarray(0, 4096), "f32", ["planes"]);
      const { buffer } = small.stored;
      small.release();
      await thrownBy(() =>
        pool.decode(new Uint8Array(9), "planes", sumsOf(new Uint8Array(8), weights, "f32"))
      );
      const large = await pool.encode(weights, "f32", ["planes"]);
      expect(large.stored.buffer.byteLength).toBeGreaterThanOrEqual(weights.byteLength);
      expect(buffer.byteLength).toBeLessThan(weights.byteLength);
      expect(Buffer.compare(large.stored, planesCodec.encode(weights, "f32") as Uint8Array)).toBe(0);
    });
  });

  test("takes lent memory over without a copy, and lends it again only once it was released", async () => {
    await withPool(2, async (pool) => {
      const stored = planesCodec.encode(weights, "f32") as Uint8Array;
      const lent = pool.lend(weights.byteLength);
      const { buffer } = lent.bytes;
      expect(buffer instanceof SharedArrayBuffer).toBe(true);
      lent.bytes.set(weights);
      const encoded = await pool.encode(lent.bytes, "f32", ["planes"]);
      expect(encoded.stored.buffer === buffer).toBe(true);
      expect(Buffer.compare(encoded.stored, stored)).toBe(0);
      // The call above has taken it over.
      lent.release();
      const others = [pool.lend(4096), pool.lend(4096), pool.lend(4096)];
      expect(others.some(({ bytes }) => bytes.buffer === buffer)).toBe(false);
      encoded.release();
      const again = [pool.lend(weights.byteLength), pool.lend(weights.byteLength)];
      const same = again.find(({ bytes }) => bytes.buffer === buffer);
      expect(same).toBeDefined();
      // Neither the release of an earlier loan nor a second one of the same ends a later one.
      lent.release();
      encoded.release();
      expect(pool.lend(16).bytes.buffer === buffer).toBe(false);
      const memory = same?.bytes.subarray(0, stored.byteLength) ?? new Uint8Array(0);
      memory.set(stored);
      const decoded = await pool.decode(memory, "planes", sumsOf(stored, weights, "f32"));
      expect(decoded.bytes.buffer === buffer).toBe(true);
      expect(Buffer.compare(decoded.bytes, weights)).toBe(0);
    });
  });

  test("copies from lent memory that has no room for the result, or that the bytes do not begin", async () => {
    await withPool(1, async (pool) => {
      const stored = planesCodec.encode(weights, "f32") as Uint8Array;
      const sums = sumsOf(stored, weights, "f32");
      const small = pool.lend(64 * 1024);
      const zeros = new Uint8Array(512 * 1024);
      const storedZeros = planesCodec.encode(zeros, "f32") as Uint8Array;
      const place = small.bytes.subarray(0, storedZeros.byteLength);
      place.set(storedZeros);
      const decoded = await pool.decode(place, "planes", sumsOf(storedZeros, zeros, "f32"));
      expect(decoded.bytes.buffer === place.buffer).toBe(false);
      expect(Buffer.compare(decoded.bytes, zeros)).toBe(0);
      const large = pool.lend(2 * weights.byteLength);
      const behind = large.bytes.subarray(256, 256 + stored.byteLength);
      behind.set(stored);
      const other = await pool.decode(behind, "planes", sums);
      expect(other.bytes.buffer === behind.buffer).toBe(false);
      expect(Buffer.compare(other.bytes, weights)).toBe(0);
    });
  });

  test("there is none without memory that threads share, and a file has the same bytes", async () => {
    const options = { fileId: FILE_ID, chunkBytes: 1 << 16, manifest: manifestOf(null), tensors };
    const pooled = await withPool(1, (pool) => writeContainer({ ...options, pool }));
    await withoutSharedMemory(async () => {
      const pool = CodecPool.open(1);
      expect(pool).toBeUndefined();
      expect(Buffer.compare(await writeContainer({ ...options, pool }), pooled)).toBe(0);
    });
  });

  test("does by this thread what comes when no worker can even start", async () => {
    const url = new URL("./no_such_worker.ts", import.meta.url);
    const pool = CodecPool.openWith(2, (listeners) => startThread(listeners, url)) as CodecPool;
    try {
      const expected = planesCodec.encode(weights, "f32") as Uint8Array;
      const encoded = await Promise.all([1, 2, 3].map(() => pool.encode(weights, "f32", ["planes"])));
      for (const { stored } of encoded) expect(Buffer.compare(stored, expected)).toBe(0);
      const later = pool.beginDecode(expected, "planes", sumsOf(expected, weights, "f32"));
      expect(Buffer.compare((await later.take()).bytes, weights)).toBe(0);
      const damaged = pool.decode(expected, "planes", { ...sumsOf(expected, weights, "f32"), rawCrc: 5 });
      expect((await thrownBy(() => damaged)).code).toBe("checksum_mismatch");
    } finally {
      await pool.close();
    }
  });

  test("rejects the job that a worker dies at, and does the rest by this thread", async () => {
    const url = new URL("./dying_worker.ts", import.meta.url);
    const pool = CodecPool.openWith(1, (listeners) => startThread(listeners, url)) as CodecPool;
    try {
      const expected = planesCodec.encode(weights, "f32") as Uint8Array;
      const error = await thrownBy(() => pool.encode(weights, "f32", ["planes"]));
      expect([error.name, error.code]).toEqual(["CairnError", "closed"]);
      expect(error.message).toContain("out of luck");
      for (const _ of [1, 2, 3]) {
        const { stored, release } = await pool.encode(weights, "f32", ["planes"]);
        expect(Buffer.compare(stored, expected)).toBe(0);
        release();
      }
    } finally {
      await pool.close();
    }
  });

  test("this thread does what no other has begun while it waits, and every result is the same", async () => {
    const silent = new URL("./silent_worker.ts", import.meta.url);
    const pool = CodecPool.openWith(1, (listeners) => startThread(listeners, silent)) as CodecPool;
    const chunks = Array.from({ length: 5 }, (_, i) => asBytes(weightsOf(20_000 + 5000 * i, i)));
    const jobs = chunks.map((raw) => pool.beginEncode(raw, "f32", ["planes"]));
    for (const [i, job] of jobs.entries()) {
      const { stored, release } = await job.take();
      expect(Buffer.compare(stored, planesCodec.encode(chunks[i] as Uint8Array, "f32") as Uint8Array)).toBe(
        0,
      );
      release();
    }
    await pool.close();
  });

  test("an abandoned job gives its buffer back", async () => {
    await withPool(1, async (pool) => {
      const first = await pool.encode(weights, "f32", ["planes"]);
      const { buffer } = first.stored;
      first.release();
      const abandoned = pool.beginEncode(weights, "f32", ["planes"]);
      // Done behind it, by the same thread; posted before it is given up, as it may be done by then.
      const next = pool.encode(weights, "f32", ["planes"]);
      abandoned.abandon();
      const second = await next;
      expect(second.stored.buffer === buffer).toBe(false);
      const third = await pool.encode(weights, "f32", ["planes"]);
      expect(third.stored.buffer === buffer).toBe(true);
    });
  });

  test("has no more than 256 chunks in shared memory, and does what is beyond by this thread", async () => {
    await withPool(1, async (pool) => {
      const lent = Array.from({ length: 257 }, () => pool.lend(16));
      expect(lent.filter(({ bytes }) => bytes.buffer instanceof SharedArrayBuffer).length).toBe(256);
      const { stored } = await pool.encode(weights, "f32", ["planes"]);
      expect(stored.buffer instanceof ArrayBuffer).toBe(true);
      expect(Buffer.compare(stored, planesCodec.encode(weights, "f32") as Uint8Array)).toBe(0);
    });
  });

  test("can be closed twice", async () => {
    const pool = CodecPool.open(1) as CodecPool;
    await Promise.all([pool.close(), pool.close()]);
    await pool.close();
  });

  test("refuses an impossible number of workers", () => {
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
      const { manifest, ...writing } = options;
      const writer = await ContainerWriter.create(sink, {
        ...writing,
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
      await writer.finish(manifest);
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
    await withPool(1, async (pool) => {
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
