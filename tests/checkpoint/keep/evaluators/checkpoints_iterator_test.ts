import { afterAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import {
  checkpointsIterator,
  type CheckpointsIteratorOptions,
} from "../../../../src/checkpoint/keep/evaluators/checkpoints_iterator.ts";
import { FileEngine } from "../../../../src/checkpoint/engine/file_engine.ts";
import { MemoryStorage } from "../../../../src/storage/memory_storage.ts";
import { SteppingClock } from "../../../helpers/stepping_clock.ts";
import { bytes, writeFile } from "../../../storage/storage_contract.ts";
import { FaultStorage, memoryEngine, saveState } from "../../fixtures.ts";
import type { Clock } from "../../../../src/base/clock.ts";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-iterator-"));

afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

/** Everything that comes. */
async function collect(
  engine: FileEngine,
  options: CheckpointsIteratorOptions,
  during: (path: string) => unknown = () => {},
): Promise<string[]> {
  const found: string[] = [];
  for await (const each of checkpointsIterator(engine, options)) {
    found.push(each.replace(/^memory:|\.cairn$/g, ""));
    await during(each);
  }
  return found;
}

async function save(engine: FileEngine, ...steps: readonly number[]): Promise<void> {
  for (const step of steps) await saveState(engine, step, { step }, { overwrite: true });
}

describe("checkpointsIterator", () => {
  test("TW-13 gives the latest when it differs from the one before, skips those in between, and ends when none comes in time", async () => {
    const engine = await memoryEngine();
    const clock = new SteppingClock(async (sleep) => {
      if (sleep === 2) await save(engine, 10);
      if (sleep === 3) await save(engine, 20, 30);
    });
    const options = { pollMs: 30_000, timeoutMs: 100_000, clock };
    expect(await collect(engine, options)).toEqual(["10", "30"]);
    // Two sleeps until the first, one until the second, and then the time is counted anew: 0, 30, 60, 90.
    expect(clock.sleeps).toEqual([30_000, 30_000, 30_000, 30_000, 30_000, 30_000]);
  });

  test("TW-13 gives up when another sleep would go beyond the deadline, and sleeps up to it exactly", async () => {
    const engine = await memoryEngine();
    for (const [timeoutMs, sleeps] of [[0, 0], [29_999, 0], [30_000, 1], [59_999, 1], [60_000, 2]] as const) {
      const clock = new SteppingClock();
      expect(await collect(engine, { pollMs: 30_000, timeoutMs, clock })).toEqual([]);
      expect(clock.sleeps.length).toBe(sleeps);
    }
  });

  test("TW-13 waits for half an hour, and looks every 30 seconds, unless told otherwise", async () => {
    const clock = new SteppingClock();
    await collect(await memoryEngine(), { clock });
    expect(clock.nowMs).toBe(1_800_000);
    expect(new Set(clock.sleeps)).toEqual(new Set([30_000]));
  });

  test("TW-13 gives an older one when the newest was deleted: any other checkpoint counts", async () => {
    const engine = await memoryEngine();
    await save(engine, 1, 2);
    const clock = new SteppingClock(async (sleep) => {
      if (sleep === 1) await engine.remove("2");
    });
    expect(await collect(engine, { pollMs: 10, timeoutMs: 20, clock })).toEqual(["2", "1"]);
  });

  test("TW-13 looks only when the next one is asked for", async () => {
    const engine = await memoryEngine();
    await save(engine, 1);
    const found = await collect(engine, { timeoutMs: 0, clock: new SteppingClock() }, async (each) => {
      if (each.includes("1.")) await save(engine, 2, 3);
    });
    expect(found).toEqual(["1", "3"]);
  });

  test("TW-13 leaves out what is damaged or unfinished", async () => {
    const engine = await memoryEngine();
    await save(engine, 1);
    await writeFile(engine.storage, "2.cairn", bytes("torn"));
    await writeFile(engine.storage, ".tmp-3", bytes("half"));
    expect(await collect(engine, { timeoutMs: 0 })).toEqual(["1"]);
  });

  test("a checkpoint that was overwritten is a new one", async () => {
    const engine = await memoryEngine();
    await save(engine, 1);
    const clock = new SteppingClock(async (sleep) => {
      if (sleep === 1) await save(engine, 1);
    });
    for (const mode of ["latest", "every"] as const) {
      expect(await collect(engine, { mode, pollMs: 10, timeoutMs: 10, clock })).toEqual(
        mode === "latest" ? ["1", "1"] : ["1"],
      );
    }
  });

  test("in mode every, each one comes once, oldest first, as long as it is there", async () => {
    const engine = await memoryEngine();
    await save(engine, 10, 20, 30);
    const clock = new SteppingClock(async (sleep) => {
      if (sleep === 1) await save(engine, 40, 5);
      if (sleep === 2) await engine.remove("40");
    });
    const found = await collect(engine, { mode: "every", pollMs: 10, timeoutMs: 20, clock }, async (each) => {
      if (each.includes("10")) await engine.remove("20");
    });
    expect(found).toEqual(["10", "30", "40", "5"]);
  });

  test("asks timeoutFn whether to end, and waits once more when it says no", async () => {
    const engine = await memoryEngine();
    let asked = 0;
    const clock = new SteppingClock(async (sleep) => {
      if (sleep === 3) await save(engine, 1);
    });
    const timeoutFn = (): boolean => ++asked === 3;
    expect(await collect(engine, { pollMs: 10, timeoutMs: 10, clock, timeoutFn })).toEqual(["1"]);
    expect([asked, clock.sleeps.length]).toEqual([3, 4]);
  });

  test("an abort ends the wait with its reason", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const clock = new SteppingClock((sleep) => {
      if (sleep === 2) controller.abort(reason);
    });
    const engine = await memoryEngine();
    await expect(collect(engine, { pollMs: 10, clock, signal: controller.signal })).rejects.toBe(reason);
    expect(clock.sleeps.length).toBe(2);
  });

  test("a directory that cannot be read for a while is waited for, and told when the time is over", async () => {
    const storage = new FaultStorage(new MemoryStorage());
    const engine = await memoryEngine(storage);
    await save(engine, 1);
    storage.failAt(storage.operations.length, "EIO", { onward: true });
    const clock = new SteppingClock((sleep) => {
      if (sleep === 2) storage.heal();
    });
    expect(await collect(engine, { pollMs: 10, timeoutMs: 20, clock })).toEqual(["1"]);
    storage.failAt(storage.operations.length, "EIO", { onward: true });
    await expect(collect(engine, { pollMs: 10, timeoutMs: 20, clock: new SteppingClock() })).rejects
      .toMatchObject({
        code: "storage_failed",
      });
  });

  test("refuses a mode or a time that makes no sense", async () => {
    const engine = await memoryEngine();
    for (const options of [{ mode: "newest" }, { pollMs: 0 }, { pollMs: NaN }, { timeoutMs: -1 }]) {
      await expect(collect(engine, options as CheckpointsIteratorOptions)).rejects.toThrow(RangeError);
    }
  });

  test("sees a checkpoint in a directory of the file system although the next look never comes", async () => {
    const run = path.join(directory, "watched");
    fs.mkdirSync(run);
    const engine = await FileEngine.open(run);
    // Sleeps until it is woken, and so only the change of the directory ends a wait.
    let saving: Promise<unknown> | undefined;
    const clock: Clock = {
      now: () => 0,
      sleep: (_, signal) => {
        saving ??= save(engine, 7);
        return new Promise((resolve) => signal?.addEventListener("abort", () => resolve()));
      },
    };
    const found: string[] = [];
    for await (const each of checkpointsIterator(run, { clock })) {
      found.push(each);
      break;
    }
    expect(found).toEqual([path.join(run, "7.cairn")]);
    // A file that has its name is not yet a save that has ended.
    await saving;
  });

  test("finds what is saved into a directory that was not there at first", async () => {
    const run = path.join(directory, "later");
    let saving: Promise<unknown> | undefined;
    const clock = new SteppingClock(() => saving ??= FileEngine.open(run).then((engine) => save(engine, 1)));
    for await (const each of checkpointsIterator(run, { clock })) {
      expect(each).toBe(path.join(run, "1.cairn"));
      break;
    }
    await saving;
    expect(clock.sleeps).toHaveLength(1);
  });
});
