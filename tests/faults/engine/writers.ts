import { CairnError } from "../../../src/base/errors.ts";
import { retain } from "../../../src/checkpoint/keep/retention/retention.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { randomNumbers } from "../../container/samples.ts";
import { HookedStorage } from "../../helpers/hooked_storage.ts";
import { Scheduler } from "../../helpers/scheduler.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import type { Outcome } from "./outcome.ts";
import { engineOn, recoveredStep, saveStep, stepOfState } from "./runs.ts";

const SEED = 20261122;
const WRITER_SCHEDULES = 2000;
const READER_SCHEDULES = 1000;

/** Rows C1 and C2: several at one directory, interleaved at every operation in an order that a seed decides. */
export async function concurrentWriters(campaign: Campaign, outcome: Outcome): Promise<void> {
  await campaign.row(
    "C1",
    `2 to 8 writers in one directory, ${WRITER_SCHEDULES} schedules, seed ${SEED}`,
    async (row) => {
      const counts: Record<string, number> = {};
      for (let schedule = 0; schedule < WRITER_SCHEDULES; schedule++) {
        await writeTogether(
          SEED + schedule,
          counts,
          row,
          outcome,
        );
      }
      row.note(Object.entries(counts).sort().map(([what, count]) => `${what} ${count}`).join(", "));
    },
  );
  await campaign.row(
    "C2",
    `3 readers beside saves and retention, ${READER_SCHEDULES} schedules, seed ${SEED}`,
    async (row) => {
      for (let schedule = 0; schedule < READER_SCHEDULES; schedule++) {
        await readBeside(
          SEED + schedule,
          row,
          outcome,
        );
      }
    },
  );
}

interface Write {
  readonly tag: string;
  readonly step: number;
  readonly overwrite: boolean;
  result: string;
}

async function writeTogether(
  seed: number,
  counts: Record<string, number>,
  row: RowRecorder,
  outcome: Outcome,
): Promise<void> {
  const next = randomNumbers(seed);
  const scheduler = new Scheduler(next);
  const inner = new MemoryStorage();
  const storage = new HookedStorage(inner, { before: () => scheduler.turn() });
  const writers = next() < 0.1 ? 8 : 2 + Math.floor(next() * 3);
  const exclusive = next() < 0.3;
  const writes: Write[] = [];
  const tasks = Array.from({ length: writers }, async (_, writer) => {
    const engine = await engineOn(storage, {
      runId: String(writer + 1).padStart(8, "0").repeat(4),
      exclusive,
    });
    for (let n = 0; n < 2; n++) {
      const kind = next();
      const tag = kind < 0.4 ? "same" : kind < 0.6 ? "SAME" : `own-${writer}-${n}`;
      const write: Write = { tag, step: 100 * writer + n + 1, overwrite: next() < 0.3, result: "" };
      writes.push(write);
      write.result = await saveStep(engine, write.step, write).then(
        () => "committed",
        (error: unknown) => error instanceof CairnError ? error.code : `${error}`,
      );
      await engine.abort();
    }
    await engine.cleanup();
  });
  await scheduler.run(tasks);
  await Promise.all(tasks);
  row.point();
  for (const { result } of writes) counts[result] = (counts[result] ?? 0) + 1;
  await judgeWrites(inner, writes, exclusive, `seed ${seed}`, row, outcome);
}

const MAY_LOSE: ReadonlySet<string> = new Set(["committed", "already_exists", "locked"]);

async function judgeWrites(
  storage: MemoryStorage,
  writes: readonly Write[],
  exclusive: boolean,
  where: string,
  row: RowRecorder,
  outcome: Outcome,
): Promise<void> {
  const engine = await engineOn(storage);
  const found = new Map<string, number | "mixed">();
  for (const tag of await engine.list()) {
    const checkpoint = await engine.load(tag);
    await checkpoint.verify();
    found.set(tag, stepOfState(await checkpoint.state()));
    await checkpoint.close();
  }
  for (const { tag, step, result, overwrite } of writes) {
    if (!MAY_LOSE.has(result) || (result === "locked" && !exclusive)) {
      row.fail(`${where}: a save of "${tag}" ended with ${result}`);
    }
    if (result !== "committed") continue;
    const present = found.get(tag);
    const others = writes.filter((write) =>
      write.tag === tag && write.result === "committed" && write.step !== step
    );
    const isReplaced = others.some((other) => other.step === present && (other.overwrite || overwrite));
    if (present === step || isReplaced) continue;
    outcome.lost++;
    row.fail(`${where}: "${tag}" of step ${step} was committed, and ${present} is there`);
  }
  for (const [tag, step] of found) {
    if (writes.some((write) => write.tag === tag && write.step === step)) continue;
    outcome.mixed++;
    row.fail(`${where}: "${tag}" holds ${step}, which nobody saved`);
  }
}

async function readBeside(seed: number, row: RowRecorder, outcome: Outcome): Promise<void> {
  const next = randomNumbers(seed);
  const scheduler = new Scheduler(next);
  const inner = new MemoryStorage();
  const storage = new HookedStorage(inner, { before: () => scheduler.turn() });
  await saveStep(await engineOn(inner), 1);
  let [committed, isOver] = [1, false];
  const writer = async (): Promise<void> => {
    const engine = await engineOn(storage);
    for (let step = 2; step <= 4; step++) {
      await saveStep(engine, step);
      committed = step;
      await retain(engine, String(step), { last: 1 });
    }
    isOver = true;
  };
  const reader = async (): Promise<void> => {
    while (!isOver) {
      const least = committed;
      const step = await recoveredStep(storage).catch((error: unknown) => `${error}`);
      row.point();
      if (typeof step === "number" && step >= least) continue;
      if (typeof step === "number") outcome.lost++;
      else outcome.mixed++;
      row.fail(`seed ${seed}: a reader found ${step} when ${least} was committed`);
    }
  };
  const tasks = [writer(), reader(), reader(), reader()];
  await scheduler.run(tasks);
  await Promise.all(tasks);
}
