import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { latestDuration } from "../../../src/checkpoint/keep/retention/by_time.ts";
import { retain, type RetentionPolicy } from "../../../src/checkpoint/keep/retention/retention.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import { randomNumbers } from "../../container/samples.ts";
import { CrashStorage, imageKey, storageOf } from "../../helpers/crash_storage.ts";
import { atEveryOperation, FaultStorage } from "../../helpers/fault_storage.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import type { Outcome } from "./outcome.ts";
import { engineOn, RUN_ID, stateOf, stepOfState } from "./runs.ts";

const OTHER_RUN = "fedcba9876543210fedcba9876543210";
const HOUR_MS = 3_600_000;
const SEED = 20261130;
/** Of one operation. */
const MOST_IMAGES = 40;

/** One save: which one it is, is in its state. What else it says is what must not matter. */
interface Save {
  readonly step: number;
  readonly runId?: string;
  /** What the clock says, in hours. */
  readonly hour?: number;
  /** The tag that its process goes on from. */
  readonly resumedFrom?: string;
}

interface Branching {
  readonly what: string;
  readonly saves: readonly Save[];
  /** How many of them are there before the power is cut. */
  readonly before: number;
  readonly keep?: RetentionPolicy;
}

const BRANCHINGS: readonly Branching[] = [
  {
    what: "a run that went back to an earlier step",
    saves: [
      { step: 100 },
      { step: 200 },
      { step: 300 },
      { step: 150, resumedFrom: "100" },
      { step: 160, resumedFrom: "100" },
    ],
    before: 3,
    keep: { last: 2 },
  },
  {
    what: "a second run in a directory that has an older and longer one",
    saves: [{ step: 1000 }, { step: 2000 }, { step: 1, runId: OTHER_RUN }, { step: 2, runId: OTHER_RUN }],
    before: 2,
    keep: { last: 1 },
  },
  {
    what: "a clock that is ahead once, and is set back",
    saves: [
      { step: 1, hour: 100 },
      { step: 2, hour: 9000 },
      { step: 3, hour: 101 },
      { step: 4, hour: 2 },
      { step: 5, hour: 3 },
    ],
    before: 2,
    keep: { rule: latestDuration(2 * 3600) },
  },
];

/**
 * Row A7: a power cut at every operation where steps, runs and times say another thing than the order of the commits.
 */
export async function branches(
  campaign: Campaign,
  outcome: Outcome,
  mostImages: number = MOST_IMAGES,
): Promise<void> {
  for (const branching of BRANCHINGS) {
    await campaign.row(
      "A7",
      `power cut: ${branching.what}`,
      (row) => cut(branching, row, outcome, mostImages),
    );
  }
}

async function cut(
  branching: Branching,
  row: RowRecorder,
  outcome: Outcome,
  mostImages: number,
): Promise<void> {
  const random = randomNumbers(SEED);
  const seen = new Set<string>();
  await atEveryOperation(async (at) => {
    const disk = new CrashStorage();
    for (let index = 0; index < branching.before; index++) await commit(disk, branching, index);
    const storage = new FaultStorage(disk);
    storage.crashAt(at);
    let committed = branching.before;
    const goOn = async (): Promise<void> => {
      for (let index = branching.before; index < branching.saves.length; index++) {
        await commit(storage, branching, index, () => void (committed = index + 1));
      }
    };
    await goOn().catch(() => {});
    for (const image of disk.images("weak", mostImages, random)) {
      const key = `${committed}\n${imageKey(image)}`;
      if (seen.has(key)) continue;
      seen.add(key);
      outcome.images.add(`${branching.what}\n${key}`);
      row.point();
      const found = await newestIn(await storageOf(image));
      if (typeof found === "number" && found >= committed) continue;
      if (typeof found === "number") outcome.lost++;
      else outcome.mixed++;
      row.fail(
        `operation ${at}: save ${found} was recovered, ${committed} is committed; ${
          [...image.keys()].join(" ")
        }`,
      );
    }
    return storage;
  });
}

/** Saves as a process of its own does. */
async function commit(
  storage: Storage,
  { saves, keep }: Branching,
  index: number,
  onCommitted: () => void = () => {},
): Promise<void> {
  const { step, runId = RUN_ID, hour = index, resumedFrom } = saves[index] as Save;
  const engine = await engineOn(storage, { runId, now: () => Date.UTC(2026, 0, 1) + hour * HOUR_MS });
  if (resumedFrom !== undefined) engine.continueRun(runId, resumedFrom);
  await engine.create(step);
  await engine.save({ state: stateOf(index + 1), provenance: { step, savedBy: "auto" } });
  await engine.commit(step);
  onCommitted();
  if (keep !== undefined) await retain(engine, String(step), keep);
}

/** Which save recovery goes on from; 0 where there is none. */
async function newestIn(storage: Storage): Promise<number | "mixed"> {
  const { checkpoint } = await recover(await engineOn(storage));
  if (checkpoint === undefined) return 0;
  try {
    return stepOfState(await checkpoint.state());
  } finally {
    await checkpoint.close();
  }
}
