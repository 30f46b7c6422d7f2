import { describe, expect, test } from "bun:test";
import type { FileEngine } from "../../../src/checkpoint/file_engine.ts";
import { PARTS_DIRECTORY } from "../../../src/checkpoint/parts/part_files.ts";
import { recover } from "../../../src/checkpoint/recovery.ts";
import { retain } from "../../../src/checkpoint/retention.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { randomNumbers } from "../../container/samples.ts";
import { CrashStorage, imageKey, storageOf } from "../../helpers/crash_storage.ts";
import { atEveryOperation, counterRandom, FaultStorage, memoryEngine } from "../fixtures.ts";
import { frozenTensors } from "./frozen_tensors.ts";

/** Disks that are looked at after each operation, for each of the two models of what a disk keeps. */
const MOST_IMAGES = 3;

function engineOn(storage: Storage, seed = 1): Promise<FileEngine> {
  return memoryEngine(storage, { components: true, codec: "raw", random: counterRandom(seed) });
}

/** Every number in every file is the step, so that a checkpoint that is put together from two would be noticed. */
async function saveStep(engine: FileEngine, step: number, tag = String(step)): Promise<void> {
  const numbers = HostTensor.from(Array.from({ length: 9 }, () => step));
  await engine.create(tag, { overwrite: tag === "last" });
  await engine.save(frozenTensors({ "model.w": numbers, "optimizer.m.w": numbers }, {
    state: { step, numbers },
    provenance: { step },
  }));
  await engine.commit(tag);
}

/** The step that a process goes on from after the restart; 0 when there is none. */
async function recoveredStep(storage: Storage): Promise<number | "mixed"> {
  const { checkpoint } = await recover(await engineOn(storage, 99));
  if (checkpoint === undefined) return 0;
  const found = new Set([(await checkpoint.state() as { step: number }).step]);
  for await (const { bytes } of checkpoint.reader.readMany(["model.w", "optimizer.m.w", "state:numbers"])) {
    for (const number of new Float32Array(bytes.buffer)) found.add(number);
  }
  await checkpoint.close();
  const [step = 0] = found;
  return found.size === 1 && checkpoint.parts.length === 2 ? step : "mixed";
}

interface Workload {
  readonly before: (engine: FileEngine) => Promise<void>;
  readonly run: (engine: FileEngine, committed: (step: number) => void) => Promise<void>;
  readonly committedBefore: number;
  readonly newest: number;
}

/** Cuts the power at every operation; looks at disks that could be left. Gives how many there were, and what must not be. */
async function cutEverywhere(workload: Workload): Promise<{ images: number; failures: string[] }> {
  const random = randomNumbers(20261122);
  const seen = new Set<string>();
  const failures: string[] = [];
  const before = new CrashStorage();
  await workload.before(await engineOn(before));
  const [start = new Map()] = [...before.images("ordered", 1, random)].slice(-1);
  await atEveryOperation(async (at) => {
    const disk = await CrashStorage.from(start);
    const storage = new FaultStorage(disk);
    storage.crashAt(at);
    let committed = workload.committedBefore;
    await engineOn(storage, 7).then((engine) => workload.run(engine, (step) => void (committed = step)))
      .catch(() => {});
    for (const model of ["ordered", "weak"] as const) {
      const images = [...disk.images(model, 2, random)];
      const stride = Math.max(1, Math.floor(images.length / MOST_IMAGES));
      for (const image of images.filter((_, index) => index % stride === 0)) {
        const key = `${committed}\n${imageKey(image)}`;
        if (seen.has(key)) continue;
        seen.add(key);
        const step = await recoveredStep(await storageOf(image)).catch((error: unknown) => `${error}`);
        const isRight = typeof step === "number" && step >= committed && step <= workload.newest;
        if (!isRight) {
          failures.push(`operation ${at}, ${model}: ${step} was recovered, ${committed} committed`);
        }
      }
    }
    return storage;
  });
  return { images: seen.size, failures };
}

const NOTHING_BEFORE = (): Promise<void> => Promise.resolve();

describe("a power cut at any operation of a checkpoint of several files", () => {
  test("leaves nothing or all of a first save", async () => {
    const { images, failures } = await cutEverywhere({
      before: NOTHING_BEFORE,
      run: async (engine, committed) => {
        await saveStep(engine, 1);
        committed(1);
      },
      committedBefore: 0,
      newest: 1,
    });
    expect(failures).toEqual([]);
    expect(images).toBeGreaterThan(40);
  });

  test("leaves the old one or the new one of an overwrite, with all of its parts", async () => {
    const { images, failures } = await cutEverywhere({
      before: (engine) => saveStep(engine, 1, "last"),
      run: async (engine, committed) => {
        await saveStep(engine, 2, "last");
        committed(2);
      },
      committedBefore: 1,
      newest: 2,
    });
    expect(failures).toEqual([]);
    expect(images).toBeGreaterThan(40);
  });

  test("loses nothing to retention, and a removal leaves all of it or nothing", async () => {
    const { images, failures } = await cutEverywhere({
      before: async (engine) => {
        for (const step of [1, 2]) await saveStep(engine, step);
      },
      run: async (engine, committed) => {
        await saveStep(engine, 3);
        committed(3);
        await retain(engine, "3", { last: 1 });
        committed(0);
        await engine.remove("3");
      },
      committedBefore: 2,
      newest: 3,
    });
    expect(failures).toEqual([]);
    expect(images).toBeGreaterThan(40);
  });

  test("leaves nothing behind after the next save of the run", async () => {
    const left: string[] = [];
    const before = new CrashStorage();
    await saveStep(await engineOn(before), 1, "last");
    const [start = new Map()] = [...before.images("ordered", 1, randomNumbers(1))].slice(-1);
    await atEveryOperation(async (at) => {
      const disk = await CrashStorage.from(start);
      const storage = new FaultStorage(disk);
      storage.crashAt(at);
      await engineOn(storage, 7).then((engine) => saveStep(engine, 2, "last")).catch(() => {});
      const [image] = [...disk.images("ordered", 1, randomNumbers(1))].slice(-1);
      const after = await storageOf(image ?? new Map());
      await saveStep(await engineOn(after, 55), 3, "last");
      const { checkpoint } = await recover(await engineOn(after));
      const names = (await after.list(PARTS_DIRECTORY)).map(({ name }) => name);
      if (names.length !== 2 || checkpoint?.step !== 3) left.push(`operation ${at}: ${names}`);
      await checkpoint?.close();
      return storage;
    });
    expect(left).toEqual([]);
  });

  test("is noticed by this very test when the index comes before its parts", async () => {
    const { failures } = await cutEverywhere({
      before: NOTHING_BEFORE,
      run: async (engine, committed) => {
        await saveStep(engine, 1);
        // As if the parts had not been synced: their names are not durable when the index is.
        const parts = await engine.storage.list(PARTS_DIRECTORY);
        for (const { name } of parts) {
          await engine.storage.move(`${PARTS_DIRECTORY}/${name}`, `${PARTS_DIRECTORY}/.tmp-${name}`);
          await engine.storage.syncDirectory(PARTS_DIRECTORY);
        }
        committed(1);
        for (const { name } of parts) {
          await engine.storage.move(`${PARTS_DIRECTORY}/.tmp-${name}`, `${PARTS_DIRECTORY}/${name}`);
        }
        await engine.storage.syncDirectory(PARTS_DIRECTORY);
      },
      committedBefore: 0,
      newest: 1,
    });
    expect(failures.length).toBeGreaterThan(0);
  });
});
