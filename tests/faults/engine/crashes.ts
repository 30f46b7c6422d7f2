import { retain } from "../../../src/checkpoint/keep/retention/retention.ts";
import type { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { randomNumbers } from "../../container/samples.ts";
import {
  CrashStorage,
  type DiskImage,
  imageKey,
  type InPieces,
  storageOf,
} from "../../helpers/crash_storage.ts";
import { atEveryOperation, FaultStorage } from "../../helpers/fault_storage.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import type { Outcome } from "./outcome.ts";
import { engineOn, recoveredStep, saveStep, temporaryFiles } from "./runs.ts";

const SEED = 20261122;
const MOST_IMAGES = 900;
const MOST_AGAIN = 8;
/** Every so many images the program also goes on from there. */
const GO_ON_EVERY = 16;

interface Workload {
  readonly row: string;
  readonly what: string;
  /** Steps that are there before, oldest first. */
  readonly before: readonly number[];
  readonly directory?: string;
  /** Does what is interrupted, and says which step is committed as soon as it is. */
  run(engine: FileEngine, committed: (step: number) => void): Promise<void>;
  /** Tag of a step, when it is not the step. */
  readonly tag?: string;
  readonly newest: number;
  /** Bytes that one write takes at most, so that there are more of them to be lost. */
  readonly writeBytes?: number;
  /** Has the disk sync pieces of a file while more of it is written. */
  readonly inPieces?: InPieces;
}

const IN_PIECES: InPieces = { blockBytes: 400, pieceBytes: 2400 };

const WORKLOADS: readonly Workload[] = [
  {
    row: "A1",
    what: "first save, into a directory that is not there",
    before: [],
    directory: "runs/one",
    newest: 1,
    run: async (engine, committed) => {
      await saveStep(engine, 1);
      committed(1);
    },
  },
  {
    row: "A2",
    what: "second save",
    before: [1],
    newest: 2,
    run: async (engine, committed) => {
      await saveStep(engine, 2);
      committed(2);
    },
  },
  {
    row: "A2",
    what: "second save, in short writes",
    before: [1],
    newest: 2,
    writeBytes: 400,
    run: async (engine, committed) => {
      await saveStep(engine, 2);
      committed(2);
    },
  },
  {
    row: "A3",
    what: "save over the same tag",
    before: [1],
    tag: "last",
    newest: 2,
    writeBytes: 600,
    run: async (engine, committed) => {
      await saveStep(engine, 2, { tag: "last", overwrite: true });
      committed(2);
    },
  },
  {
    row: "A3",
    what: "two saves with retention of one each",
    before: [1, 2],
    newest: 4,
    run: async (engine, committed) => {
      for (const step of [3, 4]) {
        await saveStep(engine, step);
        committed(step);
        await retain(engine, String(step), { last: 1 });
      }
    },
  },
  {
    row: "A3",
    what: "a save that is dropped, and another of the same tag",
    before: [1],
    newest: 2,
    run: async (engine, committed) => {
      await engine.create(2);
      await engine.save({ state: { step: 99 } });
      await engine.abort();
      await saveStep(engine, 2);
      committed(2);
    },
  },
  {
    row: "A8",
    what: "first save and the next, in blocks that are synced in pieces",
    before: [],
    newest: 2,
    writeBytes: 600,
    inPieces: IN_PIECES,
    run: async (engine, committed) => {
      for (const step of [1, 2]) {
        await saveStep(engine, step);
        committed(step);
      }
    },
  },
  {
    row: "A8",
    what: "save over the same tag, in blocks that are synced in pieces",
    before: [1],
    tag: "last",
    newest: 2,
    inPieces: IN_PIECES,
    run: async (engine, committed) => {
      await saveStep(engine, 2, { tag: "last", overwrite: true });
      committed(2);
    },
  },
];

/** Rows A1 to A3 and A8: a power cut at every operation, and every disk that it can leave. */
export async function crashes(campaign: Campaign, outcome: Outcome): Promise<void> {
  for (const workload of WORKLOADS) {
    await campaign.row(
      workload.row,
      `power cut: ${workload.what}`,
      (row) => cutEverywhere(workload, row, outcome),
    );
  }
  await campaign.row(
    "A3",
    "power cut, and another while the next process goes on",
    (row) => cutTwice(row, outcome),
  );
}

async function diskBefore({ before, tag, directory, inPieces }: Workload): Promise<CrashStorage> {
  const disk = new CrashStorage(inPieces);
  const engine = await engineOn(disk, directory === undefined ? {} : { directory });
  for (const step of before) await saveStep(engine, step, tag === undefined ? {} : { tag, overwrite: true });
  return disk;
}

async function cutEverywhere(workload: Workload, row: RowRecorder, outcome: Outcome): Promise<void> {
  const random = randomNumbers(SEED);
  const seen = new Set<string>();
  const options = workload.directory === undefined ? {} : { directory: workload.directory };
  const points = await atEveryOperation(async (at) => {
    const disk = await diskBefore(workload);
    const storage = new FaultStorage(disk);
    storage.writeLimit = () => workload.writeBytes ?? Number.POSITIVE_INFINITY;
    storage.crashAt(at);
    let committed = workload.before.at(-1) ?? 0;
    await engineOn(storage, options)
      .then((engine) => workload.run(engine, (step) => void (committed = step)))
      .catch(() => {});
    for (const model of ["ordered", "weak"] as const) {
      for (const image of disk.images(model, MOST_IMAGES, random)) {
        const key = `${committed}\n${imageKey(image)}`;
        if (seen.has(key)) continue;
        seen.add(key);
        outcome.images.add(`${workload.what}\n${key}`);
        row.point();
        const where = `operation ${at}, ${model}`;
        await judge(
          image,
          { committed, newest: workload.newest, where, directory: workload.directory },
          row,
          outcome,
        );
        if (seen.size % GO_ON_EVERY === 0) await goOn(image, workload.directory ?? "", where, row);
      }
    }
    return storage;
  });
  row.note(`${points} operations`);
}

interface Expectation {
  readonly committed: number;
  readonly newest: number;
  readonly where: string;
  readonly directory?: string | undefined;
}

/** What recovery finds on the disk has to be the committed checkpoint, or a newer one, and whole. */
async function judge(
  image: DiskImage,
  { committed, newest, where, directory }: Expectation,
  row: RowRecorder,
  outcome: Outcome,
): Promise<void> {
  const options = directory === undefined ? {} : { directory };
  const step = await recoveredStep(await storageOf(image), options).catch((error: unknown) => `${error}`);
  if (typeof step === "number" && step >= committed && step <= newest) return;
  if (typeof step === "number" && step < committed) outcome.lost++;
  else outcome.mixed++;
  row.fail(`${where}: ${step} was recovered, ${committed} is committed; ${[...image.keys()].join(" ")}`);
}

/** The next process saves, and nothing temporary is left. */
async function goOn(image: DiskImage, directory: string, where: string, row: RowRecorder): Promise<void> {
  const storage = await storageOf(image);
  const engine = await engineOn(storage, { directory });
  await saveStep(engine, 1000);
  const left = await temporaryFiles(storage, directory);
  if (left.length > 0) row.fail(`${where}: ${left.join(" ")} is left after the next save`);
  if (await recoveredStep(storage, { directory }) !== 1000) {
    row.fail(`${where}: the next save is not recovered`);
  }
}

/**
 * A few disks of each first power cut; on each of them a process that recovers, saves and cleans up is cut again
 * everywhere.
 */
async function cutTwice(row: RowRecorder, outcome: Outcome): Promise<void> {
  const random = randomNumbers(SEED + 1);
  const seen = new Set<string>();
  const second = WORKLOADS[1] as Workload;
  await atEveryOperation(async (at) => {
    const disk = await diskBefore(second);
    const storage = new FaultStorage(disk);
    storage.crashAt(at);
    let committed = 1;
    await engineOn(storage).then((engine) => second.run(engine, (step) => void (committed = step))).catch(
      () => {},
    );
    for (const image of [...disk.images("weak", MOST_AGAIN, random)].slice(-MOST_AGAIN)) {
      const key = `${committed}\n${imageKey(image)}`;
      if (!seen.has(key)) await cutAgain(image, committed, { at, random, row, outcome });
      seen.add(key);
    }
    return storage;
  });
}

async function cutAgain(
  first: DiskImage,
  committedBefore: number,
  { at, random, row, outcome }: { at: number; random: () => number; row: RowRecorder; outcome: Outcome },
): Promise<void> {
  await atEveryOperation(async (again) => {
    const disk = await CrashStorage.from(first);
    const storage = new FaultStorage(disk);
    storage.crashAt(again);
    let committed = committedBefore;
    try {
      const found = await recoveredStep(storage);
      const engine = await engineOn(storage);
      await saveStep(engine, 5);
      committed = 5;
      await retain(engine, "5", { last: 1 });
      if (found === "mixed" || found < committedBefore) row.fail(`${at}, ${again}: ${found} was recovered`);
    } catch {
      // The second power cut.
    }
    for (const image of disk.images("weak", MOST_AGAIN, random)) {
      const key = `twice ${committed}\n${imageKey(image)}`;
      if (outcome.images.has(key)) continue;
      outcome.images.add(key);
      row.point();
      await judge(image, { committed, newest: 5, where: `operations ${at} and ${again}` }, row, outcome);
    }
    return storage;
  });
}
