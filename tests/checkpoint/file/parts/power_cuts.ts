import type { FileEngine } from "../../../../src/checkpoint/engine/file_engine.ts";
import { recover } from "../../../../src/checkpoint/keep/recovery.ts";
import { retain } from "../../../../src/checkpoint/keep/retention/retention.ts";
import type { Storage } from "../../../../src/storage/storage.ts";
import { HostTensor } from "../../../../src/tensor/host_tensor.ts";
import { randomNumbers } from "../../../container/samples.ts";
import { CrashStorage, type DiskImage, imageKey, storageOf } from "../../../helpers/crash_storage.ts";
import { atEveryOperation, counterRandom, FaultStorage, memoryEngine } from "../../fixtures.ts";
import { frozenTensors } from "./frozen_tensors.ts";

/** An engine whose checkpoints have three files each. */
export function engineOn(storage: Storage, seed = 1): Promise<FileEngine> {
  return memoryEngine(storage, { components: true, codec: "raw", random: counterRandom(seed) });
}

/** Every number in every file is the step, so that a checkpoint that is put together from two would be noticed. */
export async function saveStep(engine: FileEngine, step: number, tag: string = String(step)): Promise<void> {
  const numbers = HostTensor.from(Array.from({ length: 9 }, () => step));
  await engine.create(tag, { overwrite: tag === "last" });
  await engine.save(frozenTensors({ "model.w": numbers, "optimizer.m.w": numbers }, {
    state: { step, numbers },
    provenance: { savedBy: "auto", step },
  }));
  await engine.commit(tag);
}

/** The step that a process goes on from after the restart; 0 when there is none. */
export async function recoveredStep(storage: Storage): Promise<number | "mixed"> {
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

/** What is interrupted by a power cut. */
export interface Workload {
  readonly what: string;
  readonly before: (engine: FileEngine) => Promise<void>;
  /** Says which step is committed as soon as it is. */
  readonly run: (engine: FileEngine, committed: (step: number) => void) => Promise<void>;
  readonly committedBefore: number;
  readonly newest: number;
}

/** The ways of a checkpoint of several files: it is made, takes the place of another one, makes others go, and goes. */
export const WORKLOADS: readonly Workload[] = [
  {
    what: "a first save leaves nothing or all of it",
    before: () => Promise.resolve(),
    run: async (engine, committed) => {
      await saveStep(engine, 1);
      committed(1);
    },
    committedBefore: 0,
    newest: 1,
  },
  {
    what: "an overwrite leaves the old one or the new one, with all of its parts",
    before: (engine) => saveStep(engine, 1, "last"),
    run: async (engine, committed) => {
      await saveStep(engine, 2, "last");
      committed(2);
    },
    committedBefore: 1,
    newest: 2,
  },
  {
    what: "a save, retention and a removal lose nothing, and leave all of a checkpoint or nothing",
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
  },
];

/** What {@link cutEverywhere} saw. */
export interface PowerCutReport {
  /** Keys of the disks that were looked at. */
  readonly images: ReadonlySet<string>;
  /** What was found that must not be. */
  readonly failures: readonly { readonly isLost: boolean; readonly message: string }[];
}

/** The disk as it is when everything is durable. */
export function durableImage(disk: CrashStorage): DiskImage {
  return [...disk.images("ordered", 1, randomNumbers(1))].at(-1) ?? new Map();
}

/**
 * Cuts the power at every operation of a workload, or each `stride`th, and looks at disks that this could leave.
 *
 * @param most How many disks after each operation, for each of the two models of what a disk keeps.
 */
export async function cutEverywhere(workload: Workload, most: number, stride = 1): Promise<PowerCutReport> {
  const random = randomNumbers(20261122);
  const images = new Set<string>();
  const failures: { isLost: boolean; message: string }[] = [];
  const before = new CrashStorage();
  await workload.before(await engineOn(before));
  const start = durableImage(before);
  await atEveryOperation(async (index) => {
    const at = index * stride;
    const disk = await CrashStorage.from(start);
    const storage = new FaultStorage(disk);
    storage.crashAt(at);
    let committed = workload.committedBefore;
    await engineOn(storage, 7).then((engine) => workload.run(engine, (step) => void (committed = step)))
      .catch(() => {});
    for (const model of ["ordered", "weak"] as const) {
      for (const image of some([...disk.images(model, 2, random)], most)) {
        const key = `${committed}\n${imageKey(image)}`;
        if (images.has(key)) continue;
        images.add(key);
        const found = await recoveredStep(await storageOf(image)).catch((error: unknown) => `${error}`);
        if (typeof found === "number" && found >= committed && found <= workload.newest) continue;
        const message = `operation ${at}, ${model}: ${found} was recovered, ${committed} is committed`;
        failures.push({ isLost: typeof found === "number" && found < committed, message });
      }
    }
    return storage;
  });
  return { images, failures };
}

/** So many of them, spread evenly. */
function some(images: readonly DiskImage[], most: number): readonly DiskImage[] {
  const stride = Math.max(1, Math.floor(images.length / most));
  return images.filter((_, index) => index % stride === 0);
}
