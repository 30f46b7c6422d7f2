import { describe, expect, test } from "bun:test";
import type { FileEngine, FileEngineOptions } from "../../src/checkpoint/engine/file_engine.ts";
import type { StateInput } from "../../src/checkpoint/capture/state_types.ts";
import type { DType } from "../../src/base/dtype.ts";
import { Snapshot } from "../../src/checkpoint/snapshot.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { HookedStorage } from "../helpers/hooked_storage.ts";
import { loadState, memoryEngine } from "./fixtures.ts";

const KIB = 1024;

interface Chunk {
  readonly rawOffset: number;
  readonly rawLength: number;
  readonly dtype: DType;
}

async function saveWith(
  options: FileEngineOptions,
  state: { [name: string]: StateInput },
): Promise<FileEngine> {
  const engine = await memoryEngine(new MemoryStorage(), { codec: "raw", verifyEvery: 0, ...options });
  await (await new Snapshot(engine, state).save(1)).wait();
  return engine;
}

/** The chunks of checkpoint 1. */
async function chunksOf(engine: FileEngine): Promise<Chunk[]> {
  const checkpoint = await engine.load(1);
  const chunks = checkpoint.reader.chunks.map(({ rawOffset, rawLength, dtype }) => ({
    rawOffset,
    rawLength,
    dtype,
  }));
  await checkpoint.close();
  return chunks;
}

/** `count` arrays of three numbers, each 256 bytes of the raw space. */
function small(count: number): { [name: string]: StateInput } {
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`t${index}`, new Float32Array([index, 1, 2])]),
  );
}

describe("chunks", () => {
  test("TS-11 small tensors share a chunk, and large ones are cut, at a MiB unless the engine says otherwise", async () => {
    const large = new Float32Array(700 * KIB);
    const chunks = await chunksOf(await saveWith({}, { ...small(100), large }));
    expect(chunks.map(({ rawLength }) => rawLength)).toEqual([
      1024 * KIB,
      1024 * KIB,
      100 * 256 + 2800 * KIB - 2048 * KIB,
    ]);
    const finer = await chunksOf(await saveWith({ chunkBytes: 4 * KIB }, { ...small(100), large }));
    expect(finer.length).toBe(Math.ceil((100 * 256 + 2800 * KIB) / (4 * KIB)));
    for (const { rawOffset } of finer) expect(rawOffset % (4 * KIB)).toBe(0);
  });

  test("TS-11 ten thousand tensors are written in few writes and read in few reads", async () => {
    const count = { read: 0, write: 0 };
    const storage = new HookedStorage(new MemoryStorage(), {
      before: ({ op }) => {
        if (op === "read" || op === "write") count[op]++;
      },
    });
    const state = small(10_000);
    const engine = await memoryEngine(storage, { verifyEvery: 0, codec: "raw" });
    await (await new Snapshot(engine, state).save(1)).wait();
    // Three chunks of 256 bytes a tensor; tables, manifest, trailer, and the hint.
    expect(count.write).toBeLessThan(40);
    count.read = 0;
    expect(await loadState(engine, 1)).toMatchObject(state);
    expect(count.read).toBeLessThan(40);
  });

  test("TS-11 a chunk has one dtype, so that neighbours of another begin a new one", async () => {
    const chunks = await chunksOf(
      await saveWith({}, {
        a: new Float32Array(3),
        b: new Uint8Array(3),
        c: new Uint8Array(300),
        d: new Float32Array(1),
      }),
    );
    expect(chunks.map(({ dtype, rawLength }) => [dtype, rawLength])).toEqual([
      ["f32", 256],
      ["u8", 768],
      ["f32", 256],
    ]);
  });

  test("TS-11 the chunk size belongs to one engine: it changes no other engine, and no other figure", async () => {
    const state = { data: Float32Array.from({ length: 8 * KIB }, (_, index) => index) };
    const engines = await Promise.all([
      saveWith({ chunkBytes: 8 * KIB }, state),
      saveWith({}, state),
      saveWith({ chunkBytes: 16 * KIB }, state),
    ]);
    const counts: number[] = [];
    for (const engine of engines) {
      counts.push((await chunksOf(engine)).length);
      expect(await loadState(engine, 1)).toMatchObject(state);
    }
    expect(counts).toEqual([4, 1, 2]);
  });

  test("TS-11 an impossible size is refused with the valid range, and nothing is left of the save", async () => {
    for (
      const [chunkBytes, message] of [[100, "expected 256 to"], [1000, "expected a multiple of 256"]] as const
    ) {
      const storage = new MemoryStorage();
      const engine = await memoryEngine(storage, { chunkBytes });
      const pending = await new Snapshot(engine, small(1)).save(1);
      await expect(pending.wait()).rejects.toThrow(message);
      expect(await storage.list("")).toEqual([]);
    }
  });
});
