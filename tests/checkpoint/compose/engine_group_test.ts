import { describe, expect, test } from "bun:test";
import { DecoupledEngine } from "../../../src/checkpoint/compose/decoupled_engine.ts";
import type { Engine } from "../../../src/checkpoint/engine/engine.ts";
import { engineConformance } from "../../../src/checkpoint/compose/engine_conformance.ts";
import { MirrorEngine } from "../../../src/checkpoint/compose/mirror_engine.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { Snapshot } from "../../../src/checkpoint/snapshot.ts";
import { TieredEngine } from "../../../src/checkpoint/compose/tiered_engine.ts";
import { hostError } from "../../../src/storage/host_error.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { storageError } from "../../../src/storage/storage_error.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import { bytes, readFile, writeFile } from "../../storage/storage_contract.ts";
import { codeOf, errorOf, FaultStorage, memoryEngine, OTHER_RUN_ID } from "../fixtures.ts";

async function save(
  engine: Engine,
  tag: string | number,
  value: number,
  overwrite = false,
): Promise<unknown> {
  await engine.create(tag, { overwrite });
  await engine.save({
    state: { value, ballast: new Uint8Array(3000).fill(value) },
    provenance: { step: value },
  });
  return await engine.commit(tag);
}

async function valueOf(engine: Engine, tag: string | number): Promise<number> {
  const checkpoint = await engine.load(tag);
  try {
    await checkpoint.verify();
    return (await checkpoint.state() as { value: number }).value;
  } finally {
    await checkpoint.close();
  }
}

/** Changes a byte in the middle of a file. */
async function damage(storage: Storage, path: string): Promise<void> {
  const reader = await storage.openRead(path);
  const content = new Uint8Array(reader.byteLength);
  await reader.read(0, content);
  await reader.close();
  const middle = 4096 + 10;
  content[middle] = (content[middle] ?? 0) ^ 1;
  await storage.remove(path);
  await writeFile(storage, path, content);
}

async function mirror(storages: readonly Storage[], quorum = storages.length): Promise<MirrorEngine> {
  const engines: Engine[] = [];
  for (const storage of storages) engines.push(await memoryEngine(storage));
  return new MirrorEngine(engines, { quorum });
}

async function tiers(memory: Storage, disk: Storage, every = 1): Promise<TieredEngine> {
  return new TieredEngine([{ engine: await memoryEngine(memory) }, {
    engine: await memoryEngine(disk),
    every,
  }]);
}

const groups: Record<string, () => Promise<Engine>> = {
  "MirrorEngine of two": () => mirror([new MemoryStorage(), new MemoryStorage()]),
  "MirrorEngine with one of three read-only": async () => {
    const readOnly = new MemoryStorage();
    readOnly.createExclusive = (path) => Promise.reject(storageError("create", path, hostError("EROFS")));
    return await mirror([new MemoryStorage(), new MemoryStorage(), readOnly], 2);
  },
  "TieredEngine": () => tiers(new MemoryStorage(), new MemoryStorage()),
  "TieredEngine whose disk takes each third": () => tiers(new MemoryStorage(), new MemoryStorage(), 3),
  "DecoupledEngine around a mirror": async () =>
    new DecoupledEngine(await mirror([new MemoryStorage(), new MemoryStorage()])),
};

for (const [name, open] of Object.entries(groups)) {
  describe(`${name} conforms to the engine's contract`, () => {
    for (const check of engineConformance({ open })) {
      // It says what was committed, and in the warnings what was not.
      if (name.includes("read-only") && check.name.startsWith("commit says")) continue;
      test(check.name, check.run);
    }
  });
}

describe("a snapshot over", () => {
  for (const [name, open] of Object.entries(groups)) {
    test(`${name} saves in the background, keeps what it is told to, and is restored`, async () => {
      const engine = await open();
      const state = { model: { value: 0 } };
      const snapshot = new Snapshot(engine, state, { keep: { last: 2 } });
      for (let step = 1; step <= 5; step++) {
        state.model.value = step;
        snapshot.step = step;
        await snapshot.save(step);
      }
      await snapshot.close();
      expect((await engine.list()).slice(-2)).toEqual(["4", "5"]);
      const { checkpoint } = await recover(engine);
      expect(checkpoint?.tag).toBe("5");
      await checkpoint?.close();
      const other = { model: { value: 0 } };
      const restored = new Snapshot(engine, other);
      await restored.restore(4);
      expect([other.model.value, restored.step]).toEqual([4, 4]);
    });
  }
});

describe("MirrorEngine", () => {
  test("writes the same state to all of its engines, and loads what is left of it", async () => {
    const [a, b] = [new MemoryStorage(), new MemoryStorage()];
    const engine = await mirror([a, b]);
    await save(engine, "x", 1);
    for (const storage of [a, b]) expect(await valueOf(await memoryEngine(storage), "x")).toBe(1);
    await a.remove("x.cairn");
    expect(await engine.list()).toEqual(["x"]);
    expect(await valueOf(engine, "x")).toBe(1);
    await b.remove("x.cairn");
    expect(await codeOf(engine.load("x"))).toBe("not_found");
  });

  test("counts a save that a quorum committed, names the engine that failed, and works on when it is back", async () => {
    const faulty = new FaultStorage(new MemoryStorage());
    const engine = await mirror([faulty, new MemoryStorage()], 1);
    for (const at of [0, 3, 6, 9, 12]) {
      faulty.failAt(faulty.operations.length + at, "EIO", { onward: true });
      const report = await save(engine, at, at) as { warnings: { code: string }[] };
      expect(report.warnings.map(({ code }) => code)).toContain("storage_failed");
      expect(await valueOf(engine, at)).toBe(at);
      faulty.heal();
      expect(faulty.openHandles).toBe(0);
    }
    expect((await save(engine, 100, 100) as { warnings: unknown[] }).warnings).toEqual([]);
    expect(await valueOf(await memoryEngine(faulty.inner), 100)).toBe(100);
  });

  test("a save without its quorum fails at whatever operation it is, and leaves no copy", async () => {
    for (let at = 0;; at++) {
      const good = new MemoryStorage();
      const faulty = new FaultStorage(new MemoryStorage());
      const engine = await mirror([good, faulty]);
      faulty.failAt(at, "EIO", { onward: true });
      const error = await save(engine, "x", 1).then(() => undefined, (cause: unknown) => cause);
      if (!faulty.hasFired || error === undefined) {
        expect(at).toBeGreaterThan(8);
        break;
      }
      expect(error).toMatchObject({ name: "CairnError", code: "commit_failed" });
      expect(String(error)).toContain("1 of 2 copies succeeded, 2 are needed");
      expect(await (await memoryEngine(good)).list()).toEqual([]);
      faulty.heal();
      // The name may be there when only the last sync failed: then the copy is whole.
      await save(engine, "x", 2, true);
      expect(await valueOf(engine, "x")).toBe(2);
    }
  });

  test("loads the newest copy when an overwrite reached only some engines", async () => {
    const faulty = new FaultStorage(new MemoryStorage());
    const engine = await mirror([faulty, new MemoryStorage()], 1);
    await save(engine, "x", 1);
    faulty.failAt(faulty.operations.length, "EIO", { onward: true });
    await save(engine, "x", 2, true);
    faulty.heal();
    expect(await valueOf(await memoryEngine(faulty.inner), "x")).toBe(1);
    expect(await valueOf(engine, "x")).toBe(2);
  });

  test("a damaged copy is passed over by verify and by recovery, and two damaged ones are an error", async () => {
    const [a, b] = [new MemoryStorage(), new MemoryStorage()];
    const engine = await mirror([a, b]);
    await save(engine, 5, 5);
    await damage(a, "5.cairn");
    expect(await codeOf(valueOf(await memoryEngine(a), 5))).toBe("checksum_mismatch");
    expect(await valueOf(engine, 5)).toBe(5);
    const { checkpoint, skipped } = await recover(engine);
    expect([checkpoint?.tag, skipped]).toEqual(["5", []]);
    await checkpoint?.close();
    await damage(b, "5.cairn");
    expect(await codeOf(valueOf(engine, 5))).toBe("checksum_mismatch");
    expect((await recover(engine)).checkpoint).toBeUndefined();
  });

  test("says what is wrong with the one copy there is, not that the other engine has none", async () => {
    const [a, b] = [new MemoryStorage(), new MemoryStorage()];
    const engine = await mirror([a, b]);
    await writeFile(a, "x.cairn", bytes("no checkpoint"));
    expect(await codeOf(engine.load("x"))).toBe("not_a_container");
    await a.move("x.cairn", "y");
    await b.makeDirectory("");
    await writeFile(b, "x.cairn", bytes("no checkpoint"));
    expect(await codeOf(engine.load("x"))).toBe("not_a_container");
  });

  test("refuses engines of different runs, decoupled ones, and a quorum that cannot be", async () => {
    const one = await memoryEngine();
    const other = await memoryEngine(undefined, { runId: OTHER_RUN_ID });
    expect(() => new MirrorEngine([])).toThrow(TypeError);
    expect(() => new MirrorEngine([one, other])).toThrow(TypeError);
    expect(() => new MirrorEngine([one, new DecoupledEngine(one)])).toThrow(TypeError);
    for (const quorum of [0, 3, 1.5]) {
      expect(() => new MirrorEngine([one, one], { quorum })).toThrow(RangeError);
    }
    const opened = await MirrorEngine.open([new MemoryStorage(), new MemoryStorage()], { quorum: 1 });
    expect(opened.engines[0]?.runId).toBe(opened.engines[1]?.runId ?? "");
  });
});

describe("TieredEngine", () => {
  test("DS-08 memory takes every save, the disk its own, and each keeps what it is told to", async () => {
    const disk = await memoryEngine();
    const memory = await memoryEngine();
    const engine = new TieredEngine([
      { engine: memory, keep: { last: 2 } },
      { engine: disk, every: 3, keep: { last: 2 } },
    ]);
    for (let step = 0; step <= 10; step++) await save(engine, step, step);
    expect(await memory.list()).toEqual(["10", "9"]);
    expect(await disk.list()).toEqual(["6", "9"]);
    expect(await engine.list()).toEqual(["10", "6", "9"]);
  });

  test("DS-08 loads from memory, from the disk when memory has none, and nothing when neither has one", async () => {
    const [memory, disk] = [new MemoryStorage(), new MemoryStorage()];
    const engine = await tiers(memory, disk);
    await save(engine, 1, 1);
    const fromMemory = await engine.load(1);
    await fromMemory.close();
    // Two memory storages give equal paths; which one was read shows when one of them is empty.
    await memory.remove("1.cairn");
    expect(await valueOf(engine, 1)).toBe(1);
    const restarted = await tiers(new MemoryStorage(), disk);
    const { checkpoint } = await recover(restarted);
    expect(checkpoint?.tag).toBe("1");
    await checkpoint?.close();
    expect(await codeOf(restarted.load(2))).toBe("not_found");
    expect((await recover(await tiers(new MemoryStorage(), new MemoryStorage()))).checkpoint).toBeUndefined();
  });

  test("DS-08 a damaged copy in memory falls back to the disk, and no placeholder stands for a checkpoint", async () => {
    const [memory, disk] = [new MemoryStorage(), new MemoryStorage()];
    const engine = await tiers(memory, disk, 2);
    await save(engine, 1, 1);
    await save(engine, 2, 2);
    await damage(memory, "1.cairn");
    expect(await valueOf(engine, 1)).toBe(1);
    await memory.remove("1.cairn");
    await writeFile(memory, "1.cairn", bytes(""));
    expect(await valueOf(engine, 1)).toBe(1);
    expect((await disk.list("")).map(({ name }) => name)).toEqual(["1.cairn", "latest"]);
    expect(await readFile(disk, "latest")).toBe("1\n");
  });

  test("DS-08 what was meant for the disk and did not get there has failed, and the next save goes there", async () => {
    const memory = new MemoryStorage();
    const disk = new FaultStorage(new MemoryStorage());
    const engine = await tiers(memory, disk, 10);
    disk.failAt(9, "ENOSPC", { onward: true });
    expect(await codeOf(save(engine, 1, 1))).toBe("disk_full");
    expect(await engine.list()).toEqual([]);
    disk.heal();
    await save(engine, 2, 2);
    await save(engine, 3, 3);
    expect(await (await memoryEngine(disk.inner)).list()).toEqual(["2"]);
    expect(await engine.list()).toEqual(["2", "3"]);
  });

  test("a tag that only the disk has is taken, though it is not the disk's turn", async () => {
    const [memory, disk] = [new MemoryStorage(), new MemoryStorage()];
    const engine = await tiers(memory, disk, 10);
    await save(engine, 1, 1);
    await memory.remove("1.cairn");
    expect(await codeOf(engine.create(1))).toBe("already_exists");
    await save(engine, 1, 2, true);
    expect(await valueOf(engine, "1")).toBe(2);
  });

  test("a memory that fails after the disk has committed is a warning", async () => {
    const memory = new FaultStorage(new MemoryStorage());
    const engine = await tiers(memory, new MemoryStorage());
    await engine.create(1);
    await engine.save({ state: {} });
    memory.failAt(memory.operations.length, "EIO", { onward: true });
    expect((await engine.commit(1)).warnings.map(({ code }) => code)).toEqual(["storage_failed"]);
    memory.heal();
    expect(await engine.list()).toEqual(["1"]);
  });

  test("refuses an impossible cadence", async () => {
    const engine = await memoryEngine();
    expect(() => new TieredEngine([{ engine, every: 2 }])).toThrow(RangeError);
    expect(() => new TieredEngine([{ engine }, { engine, every: 0 }])).toThrow(RangeError);
    expect((await errorOf((await tiers(new MemoryStorage(), new MemoryStorage())).commit("a"))).message)
      .toContain(
        "nothing was created",
      );
  });
});
