import { throwIfAborted } from "../base/abort.ts";
import { CairnError, type CairnErrorCode } from "../base/errors.ts";
import { nextTurn } from "../base/event_loop.ts";
import type { HeardInterrupts } from "./agreed_interrupts.ts";
import { exitCodeOf } from "./interrupts.ts";
import { batchOfStep } from "./loop/non_finite.ts";
import type { Run } from "./loop/run.ts";
import type { KeptStates } from "./past/kept_states.ts";
import { finishEpoch, isValidationDue, validateWithinEpoch } from "./loop/validation.ts";
import type { AutoSaver } from "./saves/auto_saver.ts";
import type { ScheduledSaves } from "./saves/scheduled_saves.ts";
import { epochsAtEnd, stepsAtEnd } from "./totals.ts";
import type { TrainLog } from "./train_log.ts";
import type { TrainOptions, TrainReport } from "./train_options.ts";

/** What a training loop works with. */
export interface LoopContext {
  readonly run: Run;
  readonly options: TrainOptions;
  readonly log: TrainLog;
  readonly autoSaver: AutoSaver | undefined;
  readonly saves: ScheduledSaves | undefined;
  readonly kept: Pick<KeptStates, "takeIfDue"> | undefined;
  readonly interrupts: HeardInterrupts | undefined;
  /** Whether the loop is to end at the next step. */
  readonly isStopping: () => boolean;
  /** Aborted when it is, by whatever: then no batch is waited for. */
  readonly hurry: AbortSignal | undefined;
}

/** How a {@link trainLoop} ended. */
export type LoopEnd = Pick<TrainReport, "endedBy" | "exitCode">;

/**
 * Trains until a total of `options` is reached, or it is stopped, or a signal came. In any case no save is under way
 * afterwards.
 */
export async function trainLoop(context: LoopContext): Promise<LoopEnd> {
  const { run, options, log, saves, kept, interrupts, isStopping } = context;
  const startStep = run.step;
  const totalSteps = stepsAtEnd(run, options);
  const { agreement } = run.steps;
  try {
    await agreement?.agree(run.step);
    for (;;) {
      if (interrupts?.received === undefined && await measureIfDue(context, startStep)) {
        // What was measured may end the training here, and not only after the step that says so.
        await agreement?.agree(run.step);
      }
      log.throwIfCallbackFailed();
      throwIfAborted(options.signal);
      if (interrupts?.received !== undefined || isStopping() || run.step >= totalSteps) break;
      kept?.takeIfDue();
      await oneStep(context, startStep);
      tellSkipped(context, startStep);
      // A checkpoint was refused because a step stopped the run: no need to find that out later.
      if (saves?.hasSeenStop && agreement?.isShared !== true) await run.readLosses();
      // In this turn signals arrive and a save in the background goes on.
      await nextTurn();
    }
    // Before the last save: nothing is saved of a run that was stopped.
    await run.readLosses();
    tellSkipped(context, startStep);
    await log.tellLosses();
    await lastSave(context, startStep);
    // A last save that failed because the device is lost is no end: the tensors are gone.
    if (saves !== undefined && saves.durableStep !== run.step) run.store.gpu.assertAlive();
  } catch (error) {
    saves?.leave(error);
    // How far the run came, unless the device is lost.
    await run.settle().catch(() => undefined);
    await log.tellLosses().catch(() => undefined);
    await saveAfter(error, context, startStep);
    throw error;
  } finally {
    await saves?.settled();
  }
  log.throwIfCallbackFailed();
  const signal = interrupts?.received;
  const isDone = run.step >= totalSteps && !run.isEpochUnmeasured;
  if (signal === undefined) {
    requireSomeSave(log, run.step);
    const isLastSaved = log.failedSaves.every(({ step }) => step !== run.step) ||
      saves?.durableStep === run.step;
    return { endedBy: isDone ? "end" : "stop", exitCode: isLastSaved ? 0 : 1 };
  }
  const isSaved = saves !== undefined && (run.step === startStep || saves.durableStep === run.step);
  if (!isSaved) return { endedBy: isDone ? "end" : signal, exitCode: 1 };
  return isDone ? { endedBy: "end", exitCode: 0 } : { endedBy: signal, exitCode: exitCodeOf(signal) };
}

/** A run of which nothing was saved has failed, even if it trained to the end. */
function requireSomeSave({ saves, failedSaves }: TrainLog, step: number): void {
  const last = failedSaves.at(-1);
  if (saves.length > 0 || last === undefined) return;
  const { error, tag } = last;
  const reason = error instanceof Error ? error.message : String(error);
  throw new CairnError(
    "not_saved",
    `Training went to step ${step}, but no checkpoint of it could be saved (${failedSaves.length} failed). ` +
      `The last one, "${tag}": ${reason}. The tensors are still in the store: save them elsewhere with trainer.save(path)`,
    { details: { tag, value: failedSaves.length }, cause: error },
  );
}

/** Once; each of the batches is in the report. */
function tellSkipped({ run, log }: LoopContext, startStep: number): void {
  const first = run.history.skipped.find((step) => step >= startStep);
  if (first === undefined) return;
  const { step, epoch, position } = batchOfStep(run, first);
  log.warnOnce(
    "skipped",
    `Step ${step} is not finite and its batch is skipped (epoch ${epoch}, batch ${position}); further ones are counted in the report`,
  );
}

async function oneStep(context: LoopContext, startStep: number): Promise<void> {
  const { run, options, log, autoSaver, saves, interrupts, hurry } = context;
  const size = run.order.sizeOf(run.step);
  try {
    await run.trainStep(options.onNonFinite, hurry);
  } catch (error) {
    // Data that hang are no reason to go on: the step was not begun.
    if (hurry?.aborted === true && error === hurry.reason) return;
    throw error;
  }
  await log.onStep(size);
  // Where something is measured first, the save has it; after a signal, the last one follows.
  if (run.isEpochUnmeasured || isValidationDue(run) || interrupts?.received !== undefined) return;
  await saveIf(context, autoSaver?.isDueAfterStep(run.step, startStep) || saves?.isRetryDue === true, "step");
}

/** Saves if that is due. Where each rank keeps a part of the optimiser, rank 0 says so, and all take part. */
async function saveIf({ run, saves }: LoopContext, isDue: boolean, moment: "epoch" | "step"): Promise<void> {
  const { owners } = run.steps.rules;
  if (owners === undefined) return isDue ? await saves?.save(moment) : undefined;
  const [said] = await owners.group.broadcast(0, Uint8Array.of(isDue && saves !== undefined ? 1 : 0));
  if (said !== 1) return;
  const { savingMoments, sendMoments } = await import("./ranks/moment_saves.ts");
  if (saves === undefined) await sendMoments(run, owners.group);
  else await savingMoments(run, owners.group, (others) => saves.save(moment, others));
}

/** Measures what is due after the last step, and saves what is due after that. Says whether anything was due. */
async function measureIfDue(context: LoopContext, startStep: number): Promise<boolean> {
  const { run, options, log, interrupts } = context;
  const isEpochEnd = run.isEpochUnmeasured;
  if (!isEpochEnd && !isValidationDue(run)) return false;
  const stops = [options.signal, interrupts?.stopping].flatMap((signal) => signal ?? []);
  try {
    await (isEpochEnd ? finishEpoch : validateWithinEpoch)(run, AbortSignal.any(stops));
  } catch (error) {
    // The resumed run measures it.
    if (interrupts?.stopping.aborted && error === interrupts.stopping.reason) return true;
    throw error;
  }
  warnOfMetrics(context);
  const record = isEpochEnd ? run.history.lastEpoch : run.history.validations.at(-1);
  if (record !== undefined) await (isEpochEnd ? log.onEpoch(record) : log.onValidation(record));
  await saveMeasured(context, startStep, isEpochEnd ? "epoch" : "step");
  return true;
}

async function saveMeasured(
  context: LoopContext,
  startStep: number,
  moment: "epoch" | "step",
): Promise<void> {
  if (context.interrupts?.received !== undefined) return;
  const due = dueMeasured(context, startStep, moment);
  await saveIf(context, due !== undefined, due ?? moment);
}

/** As what a run is to be saved that was measured; undefined where it is not. */
function dueMeasured(
  { run, options, autoSaver, saves }: LoopContext,
  startStep: number,
  moment: "epoch" | "step",
): "epoch" | "step" | undefined {
  if (autoSaver === undefined || saves === undefined) return undefined;
  // Also right after a restore: the checkpoint that it came from was not measured.
  if (saves.isBestDue) return moment;
  if (run.step === startStep) return undefined;
  if (moment === "epoch" && autoSaver.isDueAfterEpoch(run.epoch, epochsAtEnd(run, options))) return "epoch";
  return autoSaver.isDueAfterStep(run.step, startStep) || saves.isRetryDue ? "step" : undefined;
}

/** A checkpoint with such a metric is never the best, which deserves a warning. */
function warnOfMetrics({ run, log }: LoopContext): void {
  for (const [name, value] of Object.entries(run.measured)) {
    if (Number.isFinite(value)) continue;
    log.warnOnce(
      `metric ${name}`,
      `"${name}" is ${value} after step ${run.step}: no checkpoint of that step is the best by it`,
    );
  }
}

/**
 * An error of a loader or a callback must not lose the steps since the last save. A save that fails here is reported
 * and does not hide that error.
 */
async function saveAfter(
  error: unknown,
  { run, options, autoSaver, saves, interrupts }: LoopContext,
  startStep: number,
): Promise<void> {
  if (autoSaver?.settings.saveOnError !== true || saves === undefined || run.step === startStep) return;
  // The others are not there any more, and with them what they keep of the optimiser.
  if (run.steps.rules.owners !== undefined) return;
  const isAbort = options.signal?.aborted === true && error === options.signal.reason;
  const isOfGpu = error instanceof CairnError && NOT_WORTH_SAVING.has(error.code);
  if (isAbort || isOfGpu || run.isLost || interrupts?.overdue.aborted === true) return;
  await saves.save(run.isAtEndOfEpoch && !run.isEpochUnmeasured ? "epoch" : "step");
}

/** After these the tensors are gone, or nothing can be read from the GPU, or all that is sound is saved. */
const NOT_WORTH_SAVING: ReadonlySet<CairnErrorCode> = new Set<CairnErrorCode>([
  "non_finite",
  "device_lost",
  "gpu_validation",
  "out_of_memory",
  "closed",
]);

/**
 * The end of a run is saved even if no interval falls on it, and so is the moment of an interrupt or a stop. That is
 * the last chance, so that a save that fails is tried once more.
 */
async function lastSave(context: LoopContext, startStep: number): Promise<void> {
  const { run, saves, interrupts } = context;
  if (run.step === startStep) return;
  const due = dueAtEnd(context);
  await saveIf(context, due !== undefined, due ?? "step");
  await saves?.settled();
  await saveIf(context, due !== undefined && interrupts?.overdue.aborted !== true, due ?? "step");
}

/** As what a training is to be saved that ends here; undefined where it is not. */
function dueAtEnd(
  { run, options, autoSaver, interrupts, isStopping }: LoopContext,
): "epoch" | "step" | undefined {
  if (autoSaver === undefined) return undefined;
  const isEpochDue = run.isAtEndOfEpoch && !run.isEpochUnmeasured &&
    autoSaver.isDueAfterEpoch(run.epoch, epochsAtEnd(run, options));
  if (isEpochDue) return "epoch";
  const isCutShort = interrupts?.received !== undefined || isStopping();
  const isWithinEpoch = !run.isAtEndOfEpoch && autoSaver.savesEnd;
  return isCutShort || isWithinEpoch || autoSaver.settings.everySteps !== null ? "step" : undefined;
}
