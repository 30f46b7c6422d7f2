import { CairnError } from "../../../src/base/errors.ts";
import type { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { retain } from "../../../src/checkpoint/keep/retention/retention.ts";
import { randomNumbers } from "../../container/samples.ts";
import { CrashStorage, imageKey, storageOf } from "../../helpers/crash_storage.ts";
import { atEveryOperation, FaultStorage } from "../../helpers/fault_storage.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import type { Outcome } from "./outcome.ts";
import { engineOn, recoveredStep, saveStep, stateOf, stepOfState, temporaryFiles } from "./runs.ts";

const CALLS = ["create", "save", "commit", "load", "retain", "abort"] as const;
type Call = (typeof CALLS)[number];
const MOST_IMAGES = 4;

/** Row A4: all 258 sequences of up to three calls, each against an oracle and with a power cut at every operation. */
export async function sequences(campaign: Campaign, outcome: Outcome): Promise<void> {
  const all = CALLS.flatMap((a): Call[][] => [
    [a],
    ...CALLS.map((b): Call[] => [a, b]),
    ...CALLS.flatMap((b) => CALLS.map((c): Call[] => [a, b, c])),
  ]);
  await campaign.row("A4", `all ${all.length} sequences of up to 3 calls against an oracle`, async (row) => {
    for (const sequence of all) await runInPeace(sequence, row);
  });
  await campaign.row("A4", `the same with a power cut at every operation`, async (row) => {
    for (const sequence of all) await runWithCuts(sequence, row, outcome);
  });
}

/** What an engine has to answer: a model of the phase of the save under way, and of what is on disk. */
class Oracle {
  phase: "idle" | "created" | "saved" = "idle";
  steps = [1];

  get newest(): number {
    return this.steps.at(-1) as number;
  }

  get next(): number {
    return this.newest + 1;
  }

  /** "ok", or the code of the error that the call has to end with. */
  answer(call: Call): string {
    if (call === "create") {
      if (this.phase === "saved") return "commit_failed";
      this.phase = "created";
    } else if (call === "save") {
      if (this.phase !== "created") return "commit_failed";
      this.phase = "saved";
    } else if (call === "commit") {
      if (this.phase !== "saved") return "commit_failed";
      this.phase = "idle";
      this.steps.push(this.next);
    } else if (call === "retain") this.steps = [this.newest];
    else if (call === "abort") this.phase = "idle";
    return "ok";
  }
}

async function perform(engine: FileEngine, call: Call, { newest, next }: Oracle): Promise<void> {
  if (call === "create") await engine.create(next);
  else if (call === "save") {
    await engine.save({ state: stateOf(next), provenance: { savedBy: "auto", step: next } });
  } else if (call === "commit") await engine.commit(next);
  else if (call === "abort") await engine.abort();
  else if (call === "retain") await retain(engine, String(newest), { last: 1 });
  else {
    const checkpoint = await engine.load(newest);
    await checkpoint.verify();
    const step = stepOfState(await checkpoint.state());
    await checkpoint.close();
    if (step !== newest) throw new Error(`loaded ${step} instead of ${newest}`);
  }
}

async function runInPeace(sequence: readonly Call[], row: RowRecorder): Promise<void> {
  row.point();
  const name = sequence.join(", ");
  const storage = new FaultStorage(new CrashStorage());
  const engine = await engineOn(storage);
  await saveStep(engine, 1);
  const oracle = new Oracle();
  for (const call of sequence) {
    const before = Object.assign(new Oracle(), { phase: oracle.phase, steps: [...oracle.steps] });
    const expected = oracle.answer(call);
    const found = await perform(engine, call, before).then(() => "ok", (error: unknown) => {
      return error instanceof CairnError ? error.code : `${error}`;
    });
    if (found !== expected) row.fail(`${name}: ${call} is ${found}, expected ${expected}`);
  }
  const tags = await engine.list();
  if (tags.join() !== oracle.steps.join()) row.fail(`${name}: ${tags} are there, expected ${oracle.steps}`);
  await engine.cleanup();
  if (storage.openHandles !== 0) row.fail(`${name}: ${storage.openHandles} files are open`);
  const left = await temporaryFiles(storage);
  if (left.length > 0) row.fail(`${name}: ${left} are left after cleanup`);
}

async function runWithCuts(sequence: readonly Call[], row: RowRecorder, outcome: Outcome): Promise<void> {
  const random = randomNumbers(sequence.length);
  await atEveryOperation(async (at) => {
    const disk = new CrashStorage();
    await saveStep(await engineOn(disk), 1);
    const storage = new FaultStorage(disk);
    storage.crashAt(at);
    const engine = await engineOn(storage);
    const oracle = new Oracle();
    let [committed, newest] = [1, 1];
    for (const call of sequence) {
      const before = Object.assign(new Oracle(), { phase: oracle.phase, steps: [...oracle.steps] });
      if (call === "commit" && oracle.phase === "saved") newest = before.next;
      const isExpectedToWork = oracle.answer(call) === "ok";
      const works = await perform(engine, call, before).then(() => true, () => false);
      if (works && call === "commit") committed = before.next;
      if (works !== isExpectedToWork) break;
    }
    for (const image of disk.images("weak", MOST_IMAGES, random)) {
      const key = `${committed} ${newest}\n${imageKey(image)}`;
      row.point();
      if (outcome.images.has(key)) continue;
      outcome.images.add(key);
      const step = await recoveredStep(await storageOf(image)).catch((error: unknown) => `${error}`);
      if (typeof step === "number" && step >= committed && step <= newest) continue;
      if (typeof step === "number" && step < committed) outcome.lost++;
      else outcome.mixed++;
      row.fail(`${sequence.join(", ")}: cut at ${at}, ${step} was recovered, ${committed} is committed`);
    }
    return storage;
  });
}
