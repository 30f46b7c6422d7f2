import { FileEngine, type FileEngineOptions } from "../../../src/checkpoint/engine/file_engine.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import type { S3Storage } from "../../../src/storage/s3/s3_storage.ts";
import { FakeS3 } from "../../helpers/fake_s3.ts";
import type { FakeRequest, FaultyS3, S3Faults } from "../../helpers/faulty_s3.ts";
import { s3On, SECRETS } from "../../helpers/s3_fixture.ts";
import { RUN_ID, saveStep, stateOf, stepOfState } from "../engine/runs.ts";

/** What the process was doing when it ended. */
export class Cut extends Error {}

/** An engine of a new process on what is in a store. */
export async function engineOfProcess(
  store: FaultyS3,
  options: FileEngineOptions = {},
): Promise<{ readonly engine: FileEngine; readonly storage: S3Storage }> {
  const storage = await s3On(store, { partBytes: 5 << 20 });
  const engine = await FileEngine.open(storage, { runId: RUN_ID, codec: "raw", verifyEvery: 0, ...options });
  return { engine, storage };
}

/** What a new process recovers: a step, 0 for nothing, "mixed" for a state that nobody saved. */
export async function recoveredFrom(store: FaultyS3): Promise<number | "mixed"> {
  const { engine } = await engineOfProcess(store);
  const { checkpoint, skipped } = await recover(engine);
  if (skipped.length > 0) return "mixed";
  if (checkpoint === undefined) return 0;
  try {
    return stepOfState(await checkpoint.state());
  } finally {
    await checkpoint.close();
  }
}

/** The steps of all checkpoints that there are, each verified; "mixed" where one is not sound. */
export async function stepsIn(store: FaultyS3): Promise<readonly (number | "mixed")[]> {
  const { engine } = await engineOfProcess(store);
  const steps: (number | "mixed")[] = [];
  for (const tag of await engine.list()) {
    const checkpoint = await engine.load(tag);
    try {
      await checkpoint.verify();
      steps.push(stepOfState(await checkpoint.state()));
    } catch {
      steps.push("mixed");
    } finally {
      await checkpoint.close();
    }
  }
  return steps;
}

/** A piece of work, what was there before, and what may be recovered while it is under way. */
export interface Workload {
  readonly name: string;
  readonly before: (store: FaultyS3) => Promise<void>;
  readonly work: (store: FaultyS3) => Promise<void>;
  /** What is recovered without it, and with it. */
  readonly old: number;
  readonly new: number;
}

/** More than one piece: a state of 6 MiB, all of whose numbers are the step. */
async function saveLarge(engine: FileEngine, step: number): Promise<void> {
  await engine.create(step);
  const large = new Float32Array(3 << 19).fill(step);
  await engine.save({ state: { ...stateOf(step), large }, provenance: { step, savedBy: "auto" } });
  await engine.commit(step);
}

export const WORKLOADS: readonly Workload[] = [
  {
    name: "a first save",
    before: () => Promise.resolve(),
    work: async (store) => await saveStep((await engineOfProcess(store)).engine, 1),
    old: 0,
    new: 1,
  },
  {
    name: "a save in pieces",
    before: async (store) => await saveStep((await engineOfProcess(store)).engine, 1),
    work: async (store) => await saveLarge((await engineOfProcess(store)).engine, 2),
    old: 1,
    new: 2,
  },
  {
    name: "an overwrite",
    before: async (store) => await saveStep((await engineOfProcess(store)).engine, 1, { tag: "best" }),
    work: async (store) => {
      await saveStep((await engineOfProcess(store)).engine, 2, { tag: "best", overwrite: true });
    },
    old: 1,
    new: 2,
  },
  {
    name: "a removal",
    before: async (store) => {
      const { engine } = await engineOfProcess(store);
      for (const step of [1, 2]) await saveStep(engine, step);
    },
    work: async (store) => await (await engineOfProcess(store)).engine.remove("2"),
    old: 2,
    new: 1,
  },
  {
    name: "a collection",
    before: async (store) => {
      const { engine } = await engineOfProcess(store);
      for (let step = 1; step <= 20; step++) {
        await saveStep(engine, step);
        if (step > 2) await engine.remove(String(step - 2));
      }
      await saveLeftovers(store);
    },
    work: async (store) => void await (await engineOfProcess(store)).storage.collect(),
    old: 20,
    new: 20,
  },
];

/** What killed saves leave, two days ago: an object without an entry, and an upload. */
async function saveLeftovers(store: FaultyS3): Promise<void> {
  const { engine } = await engineOfProcess(store);
  for (const [step, cut] of [[21, "PUT log/"], [22, "POST data/"]] as const) {
    let posts = 0;
    store.faults.before = ({ name }) => {
      if (name.startsWith(cut) && (cut === "PUT log/" || ++posts > 1)) throw new Cut();
      return undefined;
    };
    const work = step === 21 ? saveStep(engine, step) : saveLarge(engine, step);
    // The process ends: nothing tidies up.
    await work.catch(() => {});
    delete store.faults.before;
  }
  store.nowMs += 2 * 24 * 3600 * 1000;
}

/** Whether a secret is in an error, or in those that it follows from. */
export function tellsSecrets(error: unknown): boolean {
  const texts: string[] = [];
  for (let each = error; each instanceof Error; each = each.cause) {
    texts.push(each.message, each.stack ?? "", JSON.stringify({ ...each }));
  }
  return SECRETS.some((secret) => texts.some((text) => text.includes(secret)));
}

/** Makes an empty store. */
export type StoreMaker = () => FaultyS3;

/** In memory, as most rows have it. */
export const inMemory: StoreMaker = () => new FakeS3();

type OfWork<T> = (workload: Workload, newStore: StoreMaker) => Promise<T>;

/** What `make` gives, made once for each work and maker of stores. */
function oncePerWork<T>(make: OfWork<T>): OfWork<T> {
  const made = new Map<StoreMaker, Map<Workload, T>>();
  return async (workload, newStore) => {
    const known = made.get(newStore) ?? new Map<Workload, T>();
    made.set(newStore, known);
    const result = known.get(workload) ?? await make(workload, newStore);
    known.set(workload, result);
    return result;
  };
}

const preparedStore = oncePerWork(async (workload, newStore) => {
  const store = newStore();
  await workload.before(store);
  return store;
});

/** A store in which the work was prepared. */
export async function prepared(workload: Workload, newStore: StoreMaker): Promise<FaultyS3> {
  return await (await preparedStore(workload, newStore)).copy();
}

/** What the work asks for when nothing goes wrong. */
export const requestsOf: OfWork<readonly FakeRequest[]> = oncePerWork(async (workload, newStore) => {
  const store = await prepared(workload, newStore);
  await workload.work(store);
  return store.requests;
});

/** Runs the work with faults, and gives what it threw. */
export async function workWith(store: FaultyS3, workload: Workload, faults: S3Faults): Promise<unknown> {
  Object.assign(store.faults, faults);
  try {
    await workload.work(store);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    for (const name of ["sent", "before", "after"] as const) delete store.faults[name];
  }
}
