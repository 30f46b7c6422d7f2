import { describe, expect, test } from "bun:test";
import type { Checkpoint } from "../../../src/checkpoint/file/checkpoint.ts";
import type { CommitReport } from "../../../src/checkpoint/engine/engine.ts";
import { loadCheckpoint } from "../../../src/checkpoint/compat/load_checkpoint.ts";
import { PARTS_DIRECTORY } from "../../../src/checkpoint/file/parts/part_files.ts";
import { rowsOfRank } from "../../../src/checkpoint/file/parts/rank_view.ts";
import { RANKS_DIRECTORY } from "../../../src/checkpoint/ranks/over_directory/message_directory.ts";
import { saveCheckpoint } from "../../../src/checkpoint/compat/save_checkpoint.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { VirtualClock } from "../../helpers/virtual_clock.ts";
import { errorOf, FaultStorage, memoryEngine, RUN_ID } from "../fixtures.ts";
import { frozenTensors } from "../file/parts/frozen_tensors.ts";
import {
  type Attempt,
  codes,
  DONE_OF_1,
  engineOf,
  filesIn,
  messages,
  ROWS,
  rows,
  saveAll,
  saveRank,
  STATE_OF_1,
  tensorsOf,
  waiting,
  whenSent,
  WIDTH,
} from "./rank_saves.ts";
import { stopEverywhere } from "./rank_stops.ts";

async function saved(worldSize: number): Promise<{ storage: Storage; reports: CommitReport[] }> {
  const storage = new MemoryStorage();
  const results = await saveAll(storage, worldSize);
  return {
    storage,
    reports: results.map((result) => {
      if (result.status === "rejected") throw result.reason;
      return result.value;
    }),
  };
}

async function open(storage: Storage, tag = "a"): Promise<Checkpoint> {
  const checkpoint = await (await engineOf(storage, 0)).load(tag);
  await checkpoint.verify();
  return checkpoint;
}

async function numbersOf({ reader }: Checkpoint, name: string): Promise<number[]> {
  const bytes = await reader.read(name);
  return [...reader.tensor(name).dtype === "u8" ? bytes : new Float32Array(bytes.buffer)];
}

describe("ranks that save together", () => {
  test("TS-10 own tensors, replicated ones and rows of tensors are placed as each rank says", async () => {
    const { storage, reports } = await saved(3);
    expect(reports.map(({ tag }) => tag)).toEqual(["a", "a", "a"]);
    expect(await filesIn(storage, RANKS_DIRECTORY)).toEqual([]);
    const checkpoint = await open(storage);
    expect(checkpoint.parts.map(({ name, rank }) => `${name} ${rank}`)).toEqual([
      "rank-0 0",
      "rank-1 1",
      "rank-2 2",
    ]);
    for (const rank of [0, 1, 2]) {
      checkpoint.forRank({ rank, worldSize: 3 });
      const { replicated, sharded, private: own, leftBehind, hasState } = checkpoint.placement;
      expect([...replicated].sort()).toEqual(["model.b", "model.tied", "model.w"]);
      expect(Object.keys(sharded)).toEqual(["model.table", "model.bytes"]);
      expect([own, leftBehind, hasState]).toEqual([["own.x"], [], true]);
      expect(await numbersOf(checkpoint, "own.x")).toEqual([rank, rank]);
      expect(await numbersOf(checkpoint, "model.w")).toEqual([1, 2, 3, 4]);
      expect(checkpoint.reader.tensor("model.tied").aliasOf).toBe("model.w");
      expect(await checkpoint.state()).toEqual({ rank, step: 1, numbers: new Float32Array([rank]) });
    }
    await checkpoint.close();
  });

  test("TS-10 each replicated tensor is written once, and the load is spread over the ranks", async () => {
    const tensors: Record<string, HostTensor> = {};
    for (let index = 0; index < 16; index++) {
      tensors[`model.layer${index}`] = HostTensor.fromBytes(new Uint8Array(4096), "f32", [1024]);
    }
    const storage = new MemoryStorage();
    const results = await saveAll(storage, 4, () => ({ tensors }));
    expect(messages(results)).toEqual(["saved", "saved", "saved", "saved"]);
    const sizes = results.map((result) => result.status === "fulfilled" ? result.value.written.rawBytes : 0);
    for (const size of sizes) expect(Math.abs(size - 4 * 4096)).toBeLessThan(3000);
    const checkpoint = await open(storage);
    for (const name of Object.keys(tensors)) expect(checkpoint.reader.tensor(name).byteLength).toBe(4096);
    await checkpoint.close();
  });

  test("TS-10 what not all ranks have, or no pattern matches, is a rank's own", async () => {
    const storage = new MemoryStorage();
    const results = await saveAll(storage, 2, (rank) => ({
      tensors: {
        "aux.y": HostTensor.from([rank + 10]),
        ...rank === 1 ? { "model.late": HostTensor.from([9]) } : {},
      },
    }));
    expect(messages(results)).toEqual(["saved", "saved"]);
    const checkpoint = await open(storage);
    expect(await numbersOf(checkpoint.forRank({ rank: 1 }), "model.late")).toEqual([9]);
    expect(await numbersOf(checkpoint, "aux.y")).toEqual([11]);
    expect(checkpoint.forRank({ rank: 0, worldSize: 2 }).reader.has("model.late")).toBe(false);
    expect(await numbersOf(checkpoint, "aux.y")).toEqual([10]);
    await checkpoint.close();
  });

  test("TS-14 rows are joined and split again for any number of ranks, byte by byte", async () => {
    for (const before of [1, 2, 3]) {
      const { storage } = await saved(before);
      const checkpoint = await open(storage);
      for (const now of [1, 2, 3, 5, 8]) {
        const together: number[][] = [[], []];
        for (let rank = 0; rank < now; rank++) {
          const shard = rowsOfRank(ROWS, rank, now);
          checkpoint.forRank({
            rank,
            worldSize: now,
            sharded: { "model.table": shard, "model.bytes": shard },
          });
          expect(checkpoint.reader.tensor("model.table").shape).toEqual([shard.end - shard.start, WIDTH]);
          together[0]?.push(...await numbersOf(checkpoint, "model.table"));
          together[1]?.push(...await numbersOf(checkpoint, "model.bytes"));
          expect(await numbersOf(checkpoint, "model.b")).toEqual([5, 6]);
          // Code that copies chunks to a GPU relies on where they begin.
          for (const { rawOffset } of checkpoint.reader.chunks) expect(rawOffset % 256).toBe(0);
          for await (const { rawOffset, bytes } of checkpoint.reader.rawChunks()) {
            const again = await checkpoint.reader.readRange(rawOffset, bytes.byteLength);
            expect(bytes.join()).toBe(again.join());
          }
        }
        const all = Array.from({ length: ROWS * WIDTH }, (_, index) => index);
        expect([before, now, together]).toEqual([before, now, [all, all]]);
      }
      await checkpoint.close();
    }
  });

  test("TS-14 a tensor that shares the bytes of one in rows has the same rows", async () => {
    const storage = new MemoryStorage();
    const results = await saveAll(storage, 2, () => ({ tensors: { "model.twin": "model.table" } }));
    expect(messages(results)).toEqual(["saved", "saved"]);
    const checkpoint = await open(storage);
    expect(await numbersOf(checkpoint, "model.twin")).toHaveLength(ROWS * WIDTH);
    checkpoint.forRank({ rank: 1, worldSize: 3, sharded: { "model.table": rowsOfRank(ROWS, 1, 3) } });
    expect(checkpoint.reader.tensor("model.twin")).toMatchObject({
      aliasOf: "model.table",
      shape: [2, WIDTH],
    });
    expect(await numbersOf(checkpoint, "model.twin")).toEqual([9, 10, 11, 12, 13, 14]);
    await checkpoint.close();
  });

  test("TS-14 a rank's own tensors and state are for the rank of that number only, and the report says so", async () => {
    const { storage } = await saved(3);
    const checkpoint = await open(storage);
    checkpoint.forRank({ rank: 4, worldSize: 5 });
    expect(checkpoint.reader.has("own.x")).toBe(false);
    expect(checkpoint.placement).toMatchObject({ savedWorldSize: 3, private: [], hasState: false });
    checkpoint.forRank({ rank: 0, worldSize: 2 });
    expect(checkpoint.placement.leftBehind).toEqual([{ rank: 2, tensors: ["own.x"] }]);
    const wrong = { start: 0, end: 3, rows: 6 };
    const error = await thrownBy(() => checkpoint.forRank({ rank: 0, sharded: { "model.table": wrong } }));
    expect([error.code, error.message]).toEqual([
      "state_mismatch",
      'Cannot take rows of "model.table": it was saved with 7 rows, expected 6',
    ]);
    const own = await thrownBy(() =>
      checkpoint.forRank({ rank: 0, sharded: { "own.x": { start: 0, end: 1, rows: 2 } } })
    );
    expect(own.message).toContain("it was saved as the own tensor of ranks 0, 1, 2");
    await checkpoint.close();
  });

  test("TS-14 a checkpoint that was saved without ranks is for all of them, in rows where they ask for rows", async () => {
    const engine = await memoryEngine();
    await engine.create("a");
    await engine.save(frozenTensors({ "model.table": rows(0, ROWS) }, { state: { step: 3 } }));
    await engine.commit("a");
    const checkpoint = await engine.load("a");
    checkpoint.forRank({ rank: 1, worldSize: 2, sharded: { "model.table": rowsOfRank(ROWS, 1, 2) } });
    expect(await numbersOf(checkpoint, "model.table")).toEqual([12, 13, 14, 15, 16, 17, 18, 19, 20]);
    expect(await checkpoint.state()).toEqual({ step: 3 });
    await checkpoint.close();
  });

  gpuTest(
    "DS-16 another number of ranks loads what can be mapped, and the rest is an error that says what to do",
    async (gpu) => {
      const storage = new MemoryStorage();
      const storeOf = (count: number): TensorStore => {
        const store = TensorStore.on(gpu);
        store.define("model", [
          { name: "w", dtype: "f32", shape: [2, 2] },
          { name: "table", dtype: "f32", shape: [count, WIDTH] },
          { name: "bytes", dtype: "u8", shape: [count, WIDTH] },
        ]);
        return store;
      };
      const stores: TensorStore[] = [];
      const opened = (count: number): TensorStore => {
        const store = storeOf(count);
        stores.push(store);
        return store;
      };
      try {
        await Promise.all([0, 1, 2].map(async (rank) => {
          const shard = rowsOfRank(ROWS, rank, 3);
          const store = opened(shard.end - shard.start);
          store.write({
            "model.w": HostTensor.from([[1, 2], [3, 4]]),
            "model.table": rows(shard.start, shard.end),
            "model.bytes": rows(shard.start, shard.end, "u8"),
          });
          return await saveCheckpoint(await engineOf(storage, rank), { store, state: { rank } }, {
            tag: "a",
            ranks: {
              rank,
              worldSize: 3,
              replicated: ["model.w"],
              sharded: { "model.table": shard, "model.bytes": shard },
              pollMs: 1,
            },
          });
        }));
        const engine = await engineOf(storage, 9);
        for (const rank of [0, 1]) {
          const shard = rowsOfRank(ROWS, rank, 2);
          const store = opened(shard.end - shard.start);
          const ranks = { rank, worldSize: 2, sharded: { "model.table": shard, "model.bytes": shard } };
          const result = await loadCheckpoint(engine, { store }, { ranks });
          expect(result.report?.missing).toEqual([]);
          expect(result.placement).toMatchObject({ savedWorldSize: 3, worldSize: 2, rank });
          const read = await store.read(["model.w", "model.table", "model.bytes"]);
          expect(read.get("model.w")?.bytes).toEqual(HostTensor.from([[1, 2], [3, 4]]).bytes);
          expect(read.get("model.table")?.bytes).toEqual(rows(shard.start, shard.end).bytes);
          expect(read.get("model.bytes")?.bytes).toEqual(rows(shard.start, shard.end, "u8").bytes);
        }
        const whole = opened(ROWS);
        await loadCheckpoint(engine, { store: whole });
        expect((await whole.read(["model.table"])).get("model.table")?.bytes).toEqual(rows(0, ROWS).bytes);
        const state = { rank: 0 };
        const late = await errorOf(loadCheckpoint(engine, { state }, { ranks: { rank: 3, worldSize: 4 } }));
        expect([late.code, late.message]).toEqual([
          "state_mismatch",
          expect.stringContaining("there is no state of rank 3; load its tensors only"),
        ]);
      } finally {
        for (const store of stores) await store.close();
      }
    },
  );

  gpuTest("DS-16 own tensors that no rank would get are never dropped silently", async (gpu) => {
    const { storage } = await saved(2);
    const engine = await engineOf(storage, 9);
    const store = TensorStore.on(gpu);
    store.define("own", [{ name: "x", dtype: "f32", shape: [2] }]);
    store.define("model", [
      { name: "w", dtype: "f32", shape: [2, 2] },
      { name: "tied", dtype: "f32", shape: [2, 2], aliasOf: "w" },
      { name: "b", dtype: "f32", shape: [2] },
      { name: "table", dtype: "f32", shape: [ROWS, WIDTH] },
      { name: "bytes", dtype: "u8", shape: [ROWS, WIDTH] },
    ]);
    try {
      const lost = await errorOf(loadCheckpoint(engine, { store }));
      expect([lost.code, lost.message]).toEqual([
        "state_mismatch",
        expect.stringContaining('"own.x" of rank 1 would be lost: 2 ranks saved it and 1 load it'),
      ]);
      const absent = await errorOf(loadCheckpoint(engine, { store }, { ranks: { rank: 2, worldSize: 3 } }));
      expect(absent.message).toContain('"own.x" was the own tensor of ranks 0, 1 of 2, and this is rank 2');
      const { report, placement } = await loadCheckpoint(engine, { store }, { exclude: ["own.*"] });
      expect([report?.missing, placement?.leftBehind]).toEqual([[], [{ rank: 1, tensors: ["own.x"] }]]);
      await loadCheckpoint(engine, { store }, { loadModuleStrict: false });
      expect((await store.read(["own.x"])).get("own.x")?.bytes).toEqual(HostTensor.from([0, 0]).bytes);
    } finally {
      await store.close();
    }
  });

  test("DS-12 ranks with other tags are warned, or nothing is saved, as the mode says", async () => {
    for (const tagValidation of ["ignore", "warn", "fail"] as const) {
      const storage = new MemoryStorage();
      const results = await saveAll(
        storage,
        2,
        (rank) => ({ tag: rank === 0 ? "a" : "b", ranks: { tagValidation } }),
      );
      const warnings = results.map((result) =>
        result.status === "fulfilled" ? result.value.warnings.map(({ code }) => code) : "failed"
      );
      const expected = { ignore: [], warn: ["invalid_tag"], fail: "failed" }[tagValidation];
      expect<unknown>([tagValidation, warnings]).toEqual([tagValidation, [expected, expected]]);
      const tags = await (await engineOf(storage, 0)).list();
      expect(tags).toEqual(tagValidation === "fail" ? [] : ["a"]);
    }
  });

  test("a missing rank fails all others in time, nothing is published, and the next attempt works", async () => {
    const storage = new MemoryStorage();
    const clock = new VirtualClock();
    const results = await clock.settled([
      saveRank(storage, 0, 3, waiting(clock, 60)),
      saveRank(storage, 2, 3, waiting(clock, 1000)),
    ]);
    expect(messages(results)).toEqual([
      expect.stringContaining("rank 1 of 3 did not answer after 60 ms"),
      expect.stringContaining("Rank 0 could not save"),
    ]);
    expect(await (await engineOf(storage, 0)).list()).toEqual([]);
    expect(messages(await saveAll(storage, 3, () => ({ step: 2 })))).toEqual(["saved", "saved", "saved"]);
    await (await open(storage)).close();
    expect(await filesIn(storage, PARTS_DIRECTORY)).toHaveLength(3);
  });

  test("a tag that is taken fails every rank at once, unless it is to be replaced", async () => {
    const { storage } = await saved(2);
    const results = await saveAll(storage, 2, () => ({ step: 2 }));
    expect(codes(results)).toEqual(["already_exists", "already_exists"]);
    expect(await filesIn(storage, RANKS_DIRECTORY)).toEqual([]);
    expect(messages(await saveAll(storage, 2, () => ({ step: 3, overwrite: true })))).toEqual([
      "saved",
      "saved",
    ]);
    expect(await filesIn(storage, PARTS_DIRECTORY)).toHaveLength(2);
    const checkpoint = await open(storage);
    expect(checkpoint.step).toBe(3);
    await checkpoint.close();
  });

  test("a rank that fails fails all, and leaves no parts behind", async () => {
    for (const failing of [0, 1]) {
      const disk = new MemoryStorage();
      const results = await Promise.allSettled([0, 1].map((rank) => {
        const storage = new FaultStorage(disk);
        if (rank === failing) {
          const isPart = (path: string): boolean => path.startsWith(PARTS_DIRECTORY);
          const { createExclusive } = FaultStorage.prototype;
          storage.createExclusive = (path) =>
            isPart(path)
              ? Promise.reject(new TypeError("no parts here"))
              : createExclusive.call(storage, path);
        }
        return saveRank(storage, rank, 2);
      }));
      expect(messages(results)).toEqual([
        expect.stringContaining("no parts here"),
        expect.stringContaining("no parts here"),
      ]);
      expect(await (await engineOf(disk, 0)).list()).toEqual([]);
      expect(await filesIn(disk, PARTS_DIRECTORY)).toEqual([]);
    }
  });

  test("an abort on any rank fails all, and nothing is published", async () => {
    for (const aborted of [0, 1]) {
      const storage = new MemoryStorage();
      const reason = new Error("enough");
      const results = await saveAll(
        storage,
        2,
        (rank) => rank === aborted ? { signal: AbortSignal.abort(reason) } : {},
      );
      const result = results[aborted];
      expect(result?.status === "rejected" ? result.reason : undefined).toBe(reason);
      expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
      expect(await (await engineOf(storage, 0)).list()).toEqual([]);
    }
  });

  test("ranks whose steps, numbers or rows do not go together are refused", async () => {
    const shard = { start: 0, end: 3, rows: ROWS };
    const cases: [Partial<Record<0 | 1, Attempt>>, string][] = [
      [{ 1: { step: 2 } }, "rank 1 is at step 2 and rank 0 at step 1"],
      [{ 1: { ranks: { worldSize: 3 } } }, "rank 0 says that there are 2 of them, and rank 1 says 3"],
      [
        { 1: { tensors: { "model.b": HostTensor.from([5]) } } },
        'the replicated tensor "model.b" is f32 [2] on rank 0',
      ],
      [
        { 1: { tensors: { "model.table": rows(0, 3) }, ranks: { sharded: { "model.table": shard } } } },
        'more than one rank has the rows 0 to 3 of "model.table"',
      ],
    ];
    for (const [attempts, message] of cases) {
      const storage = new MemoryStorage();
      const results = await saveAll(storage, 2, (rank) => attempts[rank as 0 | 1] ?? {});
      expect(messages(results).join("\n")).toContain(message);
      expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
      expect(await (await engineOf(storage, 0)).list()).toEqual([]);
    }
    const tied = await saveAll(new MemoryStorage(), 2, (rank) => ({
      tensors: rank === 1 ? { "model.other": "model.b" } : {},
    }));
    expect(messages(tied)[0]).toContain(
      '"model.other" shares the bytes of "model.b" on some ranks and not on others',
    );
    const single = tensorsOf(0, 1);
    for (const sharded of [{ nothing: shard }, { "model.table": shard }, { "model.tied": shard }]) {
      const error = await thrownBy(() =>
        saveRank(new MemoryStorage(), 0, 1, { ranks: { ...single.ranks, sharded } })
      );
      expect(error).toBeInstanceOf(TypeError);
    }
    expect(await thrownBy(() => saveRank(new MemoryStorage(), 2, 2))).toBeInstanceOf(RangeError);
  });

  test("messages that a stopped attempt left are never taken for answers", async () => {
    const storage = new MemoryStorage();
    // The first rank stops when the other one has said what it has, and then once more when that one's part is there.
    for (const name of [STATE_OF_1, DONE_OF_1]) {
      const first = new FaultStorage(storage);
      const other = whenSent(storage, name, () => first.crashAt(first.operations.length));
      const clock = new VirtualClock();
      const results = await clock.settled([
        saveRank(first, 0, 2, waiting(clock, 60)),
        saveRank(other, 1, 2, waiting(clock, 60)),
      ]);
      expect([name, first.hasFired, results[0]?.status]).toEqual([name, true, "rejected"]);
    }
    const engine = await engineOf(storage, 0);
    if ((await engine.list()).length > 0) await engine.remove("a");
    expect(messages(await saveAll(storage, 2, () => ({ step: 5 })))).toEqual(["saved", "saved"]);
    const checkpoint = await open(storage);
    expect([checkpoint.step, checkpoint.provenance.runId]).toEqual([5, RUN_ID]);
    await checkpoint.close();
  });

  test("a stop of any rank at any operation leaves the old checkpoint or the new one, whole", async () => {
    for (const stopped of [0, 1] as const) {
      // `npm run faults -- engine` stops at every operation.
      const { steps, failures, points } = await stopEverywhere(stopped, 4);
      expect(failures).toEqual([]);
      expect([...steps].sort()).toEqual([1, 2]);
      expect(points).toBeGreaterThan(15);
    }
  });
});
