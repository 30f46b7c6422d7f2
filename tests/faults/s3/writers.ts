import { CairnError } from "../../../src/base/errors.ts";
import { numberOfEntry } from "../../../src/storage/s3/log_entry.ts";
import { FakeS3 } from "../../helpers/fake_s3.ts";
import type { FaultyS3 } from "../../helpers/faulty_s3.ts";
import { Scheduler } from "../../helpers/scheduler.ts";
import { randomNumbers } from "../../container/samples.ts";
import { saveStep } from "../engine/runs.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import { S3Outcome } from "./outcome.ts";
import { engineOfProcess, inMemory, stepsIn, type StoreMaker } from "./runs.ts";

const WRITERS = 8;

/** Row S3: several processes save at once, and one sleeps while the others go on. */
export async function writers(campaign: Campaign, outcome: S3Outcome, rounds = 100): Promise<void> {
  await campaign.row("S0", "what a store that takes a name twice would lose is found", knownBad);
  await campaign.row("S3", `${WRITERS} processes save at once, interleaved by a seed`, async (row) => {
    for (let seed = 1; seed <= rounds; seed++) await race(seed, row, outcome);
  });
  await campaign.row("S4", "a process sleeps at every request of a save while others go on", async (row) => {
    await sleepEverywhere(row, outcome, inMemory, 1);
  });
}

/** Has a process sleep at every request of a save, or at one of `stride`. */
export async function sleepEverywhere(
  row: RowRecorder,
  outcome: S3Outcome,
  newStore: StoreMaker,
  stride: number,
): Promise<void> {
  for (const isCollected of [false, true]) {
    for (let at = 0; await sleepAt(newStore(), at, isCollected, row, outcome); at += stride);
  }
}

/** The harness itself: behind a store that does not look at the condition, and says otherwise when it is tried. */
async function knownBad(row: RowRecorder): Promise<void> {
  const found = new S3Outcome();
  let failures = 0;
  const recorder: RowRecorder = { point: () => row.point(), fail: () => failures++, note: () => {} };
  for (let seed = 1; seed <= 10; seed++) {
    const store = new FakeS3();
    store.isConditional = false;
    await race(seed, recorder, found, store);
  }
  row.note(`${found.lost} of 10 races lose a checkpoint`);
  if (found.lost === 0 || failures === 0) row.fail("it was not found");
}

async function race(
  seed: number,
  row: RowRecorder,
  outcome: S3Outcome,
  store: FakeS3 = new FakeS3(),
): Promise<void> {
  const scheduler = new Scheduler(randomNumbers(seed));
  store.faults.before = async ({ name, headers }) => {
    await scheduler.turn();
    const isProbe = name.startsWith("PUT probe/") && headers.has("if-none-match");
    return isProbe ? store.error(412, "PreconditionFailed") : undefined;
  };
  // Odd ones want a name of their own, even ones the same.
  const tagOf = (writer: number): string => writer % 2 === 1 ? `own-${writer}` : "shared";
  const saves = Array.from({ length: WRITERS }, async (_, writer) => {
    const runId = writer.toString(16).padStart(32, "0");
    const { engine } = await engineOfProcess(store, { runId });
    await saveStep(engine, writer + 1, { tag: tagOf(writer) });
  });
  const all = Promise.allSettled(saves);
  await scheduler.run([all]);
  const results = await all;
  delete store.faults.before;
  row.point();
  const codes = results.map((each) =>
    each.status === "fulfilled"
      ? "ok"
      : each.reason instanceof CairnError
      ? each.reason.code
      : String(each.reason)
  );
  const shared = codes.filter((_, writer) => writer % 2 === 0);
  const isRight =
    codes.every((code, writer) => writer % 2 === 0 ? /^(ok|already_exists)$/.test(code) : code === "ok") &&
    shared.filter((code) => code === "ok").length === 1;
  if (!isRight) row.fail(`seed ${seed}: ${codes.join(", ")}`);
  const steps = await stepsIn(store);
  if (steps.includes("mixed")) outcome.mixed++;
  const expected = codes.flatMap((code, writer) => code === "ok" ? [writer + 1] : []);
  if (expected.some((step) => !steps.includes(step)) || steps.length !== expected.length) {
    outcome.lost++;
    row.fail(`seed ${seed}: there are ${steps.join(", ")}, expected ${expected.join(", ")}`);
  }
  const numbers = store.keys.map((key) => numberOfEntry(key.slice("runs/a/".length)) ?? 0).filter((n) =>
    n > 0
  );
  if (numbers.length !== expected.length) {
    row.fail(`seed ${seed}: ${numbers.length} entries, ${expected.length} saves`);
  }
}

/** @returns Whether the save came as far as request `at`. */
async function sleepAt(
  store: FaultyS3,
  at: number,
  isCollected: boolean,
  row: RowRecorder,
  outcome: S3Outcome,
): Promise<boolean> {
  await saveStep((await engineOfProcess(store)).engine, 1);
  const sleeper = await engineOfProcess(store);
  const from = store.requests.length;
  let hasSlept = false;
  store.faults.before = async ({ index }) => {
    if (hasSlept || index !== from + at) return undefined;
    hasSlept = true;
    await othersGoOn(store, isCollected);
    return undefined;
  };
  const error: unknown = await saveStep(sleeper.engine, 2).then(() => undefined, (cause: unknown) => cause);
  delete store.faults.before;
  if (!hasSlept) return false;
  row.point();
  const where = `asleep at request ${at}${isCollected ? ", its number collected" : ""}`;
  const steps = await stepsIn(store);
  if (steps.includes("mixed")) {
    outcome.mixed++;
    row.fail(`${where}: there is a checkpoint that does not verify`);
  }
  for (const step of [1, 120]) {
    if (steps.includes(step)) continue;
    outcome.lost++;
    row.fail(`${where}: ${step} is lost`);
  }
  if (steps.includes(2) !== (error === undefined)) row.fail(`${where}: ${steps.join(", ")} after ${error}`);
  if (error !== undefined && !(error instanceof CairnError && /locked|commit_failed/.test(error.code))) {
    row.fail(`${where}: ${error}`);
  }
  return true;
}

/** Other processes save often enough that the sleeper's number is free again; or once. */
async function othersGoOn(store: FaultyS3, isCollected: boolean): Promise<void> {
  const awake = store.faults.before;
  delete store.faults.before;
  const { engine, storage } = await engineOfProcess(store, { runId: "f".repeat(32) });
  for (let step = isCollected ? 101 : 120; step <= 120; step++) await saveStep(engine, step);
  if (isCollected) {
    store.nowMs += 2 * 24 * 3600 * 1000;
    await storage.collect();
  }
  if (awake !== undefined) store.faults.before = awake;
}
