import { describe, expect, test } from "bun:test";
import { PARTS_DIRECTORY } from "../../../../src/checkpoint/file/parts/part_files.ts";
import { recover } from "../../../../src/checkpoint/keep/recovery.ts";
import { CrashStorage, storageOf } from "../../../helpers/crash_storage.ts";
import { atEveryOperation, FaultStorage } from "../../fixtures.ts";
import { cutEverywhere, durableImage, engineOn, recoveredStep, saveStep, WORKLOADS } from "./power_cuts.ts";

/** `npm run faults -- engine` cuts at every operation, and looks at more of the disks that this could leave. */
const STRIDE = 2;
const MOST_IMAGES = 3;

describe("a power cut at any operation of a checkpoint of several files", () => {
  for (const workload of WORKLOADS) {
    test(workload.what, async () => {
      const { images, failures } = await cutEverywhere(workload, MOST_IMAGES, STRIDE);
      expect(failures).toEqual([]);
      expect(images.size).toBeGreaterThan(30);
    });
  }

  test("leaves nothing behind after the next save of the run", async () => {
    const left: string[] = [];
    const before = new CrashStorage();
    await saveStep(await engineOn(before), 1, "last");
    const start = durableImage(before);
    await atEveryOperation(async (at) => {
      const disk = await CrashStorage.from(start);
      const storage = new FaultStorage(disk);
      storage.crashAt(at);
      await engineOn(storage, 7).then((engine) => saveStep(engine, 2, "last")).catch(() => {});
      const after = await storageOf(durableImage(disk));
      await saveStep(await engineOn(after, 55), 3, "last");
      const { checkpoint } = await recover(await engineOn(after));
      const names = (await after.list(PARTS_DIRECTORY)).map(({ name }) => name);
      if (names.length !== 2 || checkpoint?.step !== 3) left.push(`operation ${at}: ${names}`);
      await checkpoint?.close();
      return storage;
    });
    expect(left).toEqual([]);
  });

  test("as an operation that fails, or does its work and says it failed, neither mixes nor leaves anything", async () => {
    const wrong: string[] = [];
    const before = new CrashStorage();
    await saveStep(await engineOn(before), 1, "last");
    const start = durableImage(before);
    for (const takesEffect of [false, true]) {
      await atEveryOperation(async (index) => {
        // Each operation fails in one of the two ways here, and in both in the campaign.
        const at = 2 * index + (takesEffect ? 1 : 0);
        const storage = new FaultStorage(await storageOf(start));
        storage.failAt(at, "EIO", { takesEffect });
        const engine = await engineOn(storage, 7);
        const isSaved = await saveStep(engine, 2, "last").then(() => true, () => false);
        storage.heal();
        const found = await recoveredStep(storage.inner);
        const isRight = found === 2 || (found === 1 && !isSaved);
        await engine.abort();
        await saveStep(engine, 3, "last").catch((error: unknown) =>
          wrong.push(`operation ${at}: then ${error}`)
        );
        const names = (await storage.inner.list(PARTS_DIRECTORY)).map(({ name }) => name);
        const isClean = names.length === 2 && await recoveredStep(storage.inner) === 3;
        if (storage.openHandles > 0) wrong.push(`operation ${at}: ${storage.openHandles} files are open`);
        if (!isRight || !isClean) {
          wrong.push(`operation ${at}, ${takesEffect}: ${isSaved}, ${found}, ${names}`);
        }
        return storage;
      });
    }
    expect(wrong).toEqual([]);
  });

  test("is noticed by this very test when the index comes before its parts", async () => {
    const { failures } = await cutEverywhere({
      what: "parts whose names are not durable when the index is",
      before: () => Promise.resolve(),
      run: async (engine, committed) => {
        await saveStep(engine, 1);
        const parts = (await engine.storage.list(PARTS_DIRECTORY)).map(({ name }) => name);
        const move = (from: string, to: string): Promise<void> =>
          engine.storage.move(`${PARTS_DIRECTORY}/${from}`, `${PARTS_DIRECTORY}/${to}`);
        for (const name of parts) await move(name, `.tmp-${name}`);
        await engine.storage.syncDirectory(PARTS_DIRECTORY);
        committed(1);
        for (const name of parts) await move(`.tmp-${name}`, name);
        await engine.storage.syncDirectory(PARTS_DIRECTORY);
      },
      committedBefore: 0,
      newest: 1,
    }, MOST_IMAGES);
    expect(failures.length).toBeGreaterThan(0);
  });
});
