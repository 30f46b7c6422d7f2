import process from "node:process";
import { retain } from "../../../src/checkpoint/keep/retention/retention.ts";
import { randomNumbers } from "../../container/samples.ts";
import { CrashStorage } from "../../helpers/crash_storage.ts";
import { FaultStorage } from "../../helpers/fault_storage.ts";
import { HookedStorage } from "../../helpers/hooked_storage.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import type { Outcome } from "./outcome.ts";
import { engineOn, recoveredStep, saveStep, stateOf } from "./runs.ts";

const SEED = Number(process.env.CAIRN_SOAK_SEED ?? 20261122);
const COUNT = Number(process.env.CAIRN_SOAK_COUNT ?? 10_000);
const ERRORS = ["EIO", "ENOSPC", "EROFS", "EMFILE", "ESTALE"];

/** Row L1: everything at random on one disk that lives on: saves, errors, aborts, retention and power cuts. */
export async function soak(campaign: Campaign, outcome: Outcome): Promise<void> {
  await campaign.row("L1", `random soak of ${COUNT} operations, seed ${SEED}`, async (row) => {
    const next = randomNumbers(SEED);
    let disk = new CrashStorage();
    // What is committed for certain, and what may have been published by a save that failed.
    let known = { committed: 0, newest: 0 };
    const counts: Record<string, number> = {};
    for (let round = 0; round < COUNT;) {
      const life = await liveOn(disk, known, next, counts);
      round += life.operations;
      row.point(life.operations);
      known = life.known;
      const images = [...disk.images(next() < 0.5 ? "weak" : "ordered", 8, next)];
      const image = images[Math.floor(next() * images.length)] ?? new Map();
      disk = await CrashStorage.from(image);
      counts["power cut"] = (counts["power cut"] ?? 0) + 1;
      const step = await recoveredStep(disk).catch((error: unknown) => `${error}`);
      if (typeof step === "number" && step >= known.committed && step <= known.newest) {
        known = { committed: step, newest: known.newest };
        continue;
      }
      judge(step, known, round, row, outcome);
      return;
    }
    row.note(Object.entries(counts).sort().map(([what, count]) => `${what} ${count}`).join(", "));
  });
}

function judge(
  step: number | string,
  known: { committed: number; newest: number },
  round: number,
  row: RowRecorder,
  outcome: Outcome,
): void {
  if (typeof step === "number" && step < known.committed) outcome.lost++;
  else outcome.mixed++;
  row.fail(
    `CAIRN_SOAK_SEED=${SEED}, operation ${round}: ${step} was recovered, ${known.committed} is committed`,
  );
}

/** One process, until it is over or the power is cut. */
async function liveOn(
  disk: CrashStorage,
  known: { committed: number; newest: number },
  next: () => number,
  counts: Record<string, number>,
): Promise<{ operations: number; known: { committed: number; newest: number } }> {
  let { committed, newest } = known;
  const faults = new FaultStorage(disk);
  let controller = new AbortController();
  let abortAt = Infinity;
  const storage = new HookedStorage(faults, {
    before: () => {
      if (faults.operations.length >= abortAt) controller.abort(new Error("enough"));
    },
  });
  const engine = await engineOn(storage, next() < 0.5 ? { codec: "deflate" } : {});
  const lives = 1 + Math.floor(next() * 12);
  let operations = 0;
  for (; operations < lives; operations++) {
    controller = new AbortController();
    abortAt = next() < 0.1 ? faults.operations.length + Math.floor(next() * 30) : Infinity;
    const at = faults.operations.length + Math.floor(next() * 30);
    faults.heal();
    const fault = next();
    const takesEffect = next() < 0.5;
    if (fault < 0.15) faults.crashAt(at, { takesEffect });
    else if (fault < 0.5) {
      const code = ERRORS[Math.floor(next() * ERRORS.length)] as string;
      faults.failAt(at, code, { takesEffect, onward: next() < 0.3 });
    }
    const before = faults.hasFired;
    const kind = next();
    try {
      if (kind < 0.7) {
        const step = ++newest;
        const tag = next() < 0.3 ? "best" : String(step);
        await saveStep(engine, step, { tag, overwrite: tag === "best", signal: controller.signal });
        committed = step;
        count(counts, "save");
        if (next() < 0.6) await retain(engine, tag, { last: 1 + Math.floor(next() * 3) });
      } else if (kind < 0.8) {
        await engine.create(`dropped-${newest}`);
        await engine.save({ state: stateOf(0) });
        await engine.abort();
        count(counts, "dropped save");
      } else await recoveredStep(storage);
    } catch {
      count(counts, controller.signal.aborted ? "abort" : "error");
      await engine.abort();
    }
    faults.hasFired = before;
    if (fault < 0.15 && faults.operations.length > at) break;
  }
  return { operations: operations + 1, known: { committed, newest } };
}

function count(counts: Record<string, number>, what: string): void {
  counts[what] = (counts[what] ?? 0) + 1;
}
