import { throwIfAborted } from "../base/abort.ts";
import { CairnError } from "../base/errors.ts";
import { nextTurn } from "../base/event_loop.ts";
import type { Work } from "../base/work.ts";
import type { GotoReport } from "./goto_options.ts";
import type { Run } from "./loop/run.ts";
import { returnToFirst } from "./past/first_state.ts";
import type { KeptStates } from "./past/kept_states.ts";
import { firstDifferentLoss, type KnownPast, pastOfRun } from "./past/known_past.ts";
import { UndoableRun } from "./past/undoable_run.ts";
import { PastCheckpoints } from "./past_checkpoints.ts";
import type { RestoreTarget } from "./restore.ts";
import type { AutoSaver } from "./saves/auto_saver.ts";

/** Where a run may be found that goes to a step of its past. */
export interface Whereabouts {
  readonly run: Run;
  readonly autoSaver: AutoSaver | undefined;
  /** Its directory, where that is known. */
  readonly target: RestoreTarget | undefined;
  /** States of it in memory, if some are kept. */
  readonly kept: KeptStates | undefined;
}

/**
 * Makes the run what it was when `step` steps were done: takes the nearest state that there is of it or of a step
 * before, and does the steps in between again. Their losses have to be the bits that they were.
 *
 * @throws CairnError `no_checkpoint` where there is nothing to begin with, `state_mismatch` for a step that is not the
 * same again; RangeError for a step that is ahead. Then the run is as it was.
 */
export async function gotoStep(where: Whereabouts, step: number, work: Work): Promise<GotoReport> {
  const { run, autoSaver } = where;
  await run.prepare();
  if (step === run.step) return { step, from: step, checkpoint: null, skipped: [] };
  const checkpoints = await PastCheckpoints.of(where, work.signal);
  const past = step <= run.step ? pastOfRun(run) : await checkpoints.pastBeyond(step);
  if (past === undefined) throw ahead(run, step);
  const before = await UndoableRun.of(run, autoSaver);
  try {
    const { checkpoint, from } = await begin(where, checkpoints, past, step);
    await doAgain(run, past, step, { ...work, isFromSeed: checkpoint === null && from === 0 });
    return { step: run.step, from, checkpoint, skipped: checkpoints.skipped };
  } catch (error) {
    await before.undo();
    throw error;
  } finally {
    before.close();
  }
}

/** Makes the run the nearest state that is known of `step` or before. */
async function begin(
  { run, kept }: Whereabouts,
  checkpoints: PastCheckpoints,
  past: KnownPast,
  step: number,
): Promise<Pick<GotoReport, "checkpoint" | "from">> {
  const state = kept?.newestUpTo(step);
  // A checkpoint of step 0 is better than the seed: weights may have been loaded before it was saved.
  const inMemory = run.step <= step ? run.step : state?.moment.step ?? -1;
  const checkpoint = await checkpoints.restoreNearest(past, { above: inMemory, upTo: step });
  if (checkpoint !== undefined) return { checkpoint, from: run.step };
  if (run.step > step) await (state === undefined ? returnToFirst(run) : kept?.putBack(state));
  return { checkpoint: null, from: run.step };
}

/** Does steps again until `step` are done. Nothing is measured, saved or told. */
async function doAgain(
  run: Run,
  past: KnownPast,
  step: number,
  { signal, onProgress, isFromSeed }: Work & { readonly isFromSeed: boolean },
): Promise<void> {
  const from = run.step;
  if (from === step) return;
  run.rateScales = past.rateScales.filter((change) => change.step <= step);
  run.expectSteps(step);
  try {
    while (run.step < step) {
      throwIfAborted(signal);
      // What was left out is left out again, and what stopped the run is no step of its past.
      await run.trainStep("skip", signal);
      onProgress?.({ done: run.step - from, total: step - from });
      await nextTurn();
    }
  } finally {
    await run.closeBatches();
  }
  await run.readLosses();
  const different = firstDifferentLoss(run.history.loss, past.losses, from);
  if (different !== undefined) throw notTheSame(run, past, { different, isFromSeed });
  run.history.replace(
    past.losses.slice(0, step),
    past.epochs.filter((record) => record.step <= step),
    past.validations.filter((record) => record.step <= step),
    Object.fromEntries(Object.entries(past.columns).map(([name, column]) => [name, column.slice(0, step)])),
  );
}

function ahead({ step: done }: Run, step: number): RangeError {
  return new RangeError(
    `Step ${step} is not in the past of the run: ${done} are done, and there is no checkpoint of a later one; ` +
      `train({ steps: ${step} }) goes there`,
  );
}

function notTheSame(
  { history }: Run,
  { losses }: KnownPast,
  { different, isFromSeed }: { readonly different: number; readonly isFromSeed: boolean },
): CairnError {
  const found = `step ${different + 1} done again has the loss ${history.loss[different]}, and had ${
    losses[different]
  }`;
  return isFromSeed
    ? new CairnError(
      "no_checkpoint",
      `There is no checkpoint of the step or before it, and the run is not repeated from the weights that its seed ` +
        `gives: ${found}. It began with others, as after warmStart() or load(), or something was changed on the way; ` +
        "keep more checkpoints",
      { details: { value: different + 1 } },
    )
    : new CairnError(
      "state_mismatch",
      `The past of the run cannot be repeated: ${found}. Something that a step depends on is not in the checkpoint: ` +
        "weights that were written, data that is no function of what is asked for, or another adapter or version; " +
        "assertResumeExact() finds what it is",
      { details: { value: different + 1 } },
    );
}
