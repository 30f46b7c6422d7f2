import { checkOptions, type OptionNames } from "../base/options/options.ts";
import type { WorkProgress } from "../base/work.ts";
import { throwIfAborted } from "../base/abort.ts";
import { CairnError, type CairnErrorCode } from "../base/errors.ts";
import type { AutoSaver } from "./saves/auto_saver.ts";
import type { FailedSave, SaveListener, SaveRecord, ScheduledSaves } from "./saves/scheduled_saves.ts";
import { nextTurn } from "../base/event_loop.ts";
import type { EpochRecord } from "./loop/history.ts";
import type { OnDeviceLost } from "./device_losses.ts";
import {
  exitCodeOf,
  type Interrupts,
  type InterruptSignal,
  SIGNAL_OPTIONS,
  type SignalOptions,
} from "./interrupts.ts";
import { batchOfStep, type NonFiniteBatch, type NonFinitePolicy } from "./loop/non_finite.ts";
import type { ProgressReporter, TrainingProgress } from "./log/progress.ts";
import type { Run } from "./loop/run.ts";
import { epochsAtEnd, requireTotals, stepsAtEnd } from "./totals.ts";
import { finishEpoch, isValidationDue, validateWithinEpoch } from "./loop/validation.ts";

/** What is known right after a step. */
export interface StepEvent {
  /** Steps done: optimiser updates, and batches that were skipped. */
  readonly step: number;
  /** The epoch that the step belongs to, 1-based. */
  readonly epoch: number;
  /** The newest loss that was read from the GPU; up to 64 steps old. NaN for a batch that was skipped. */
  readonly loss: number | undefined;
  /** Of the same step: each term of the loss, each regulariser, and `gradient_norm` where it is measured. */
  readonly terms: Readonly<Record<string, number>>;
}

/** Options of `Trainer.train`. */
export interface TrainOptions {
  /** Train until this many epochs are done, those before a resume included. At least one of the two totals is given. */
  readonly epochs?: number | undefined;
  /** Train until this many steps are done, those before a resume included. With `epochs`, whichever comes first. */
  readonly steps?: number | undefined;
  /** Stops at the next step boundary: what is being saved is saved, then the signal's reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  /** After every step; training waits for it. */
  readonly onStep?: ((event: StepEvent) => void | Promise<void>) | undefined;
  /** After every epoch; training waits for it. */
  readonly onEpoch?: ((record: EpochRecord) => void | Promise<void>) | undefined;
  /** When a checkpoint has become durable. */
  readonly onSave?: ((record: SaveRecord) => void) | undefined;
  /**
   * How many kernels are compiled before the first step, and of how many: a first run may take many seconds for it.
   * Nothing where they are compiled already.
   */
  readonly onCompile?: ((progress: WorkProgress) => void) | undefined;
  /** What went wrong without stopping the training. It is in the report, too. */
  readonly onWarning?: ((message: string) => void) | undefined;
  /**
   * A reporter; true for `terminalProgress()`, false for none. Default: a bar if standard error is a
   * terminal.
   */
  readonly progress?: ProgressReporter | boolean | undefined;
  /**
   * At the first SIGINT (Ctrl-C) or SIGTERM, end at the next step, save as `autoSave` says where, and resolve
   * with `endedBy`; a second one ends the process at once. True, or a deadline for the save: `{ graceMs }`.
   * Default false.
   */
  readonly handleSignals?: boolean | SignalOptions | undefined;
  /**
   * What happens when the GPU device is lost: `train` rejects with `device_lost` ("error", the default), or the store
   * opens another device and the run goes on from its newest checkpoint ("rebuild"). Steps since then are done again,
   * with the same result; `onStep` is called for them again.
   */
  readonly onDeviceLost?: OnDeviceLost | undefined;
  /**
   * What happens at a step whose loss or gradients are not finite, of which no weight is ever changed: `train`
   * rejects with `non_finite` and the run is as it was before that step ("stop", the default), or its batch is left
   * out and counted in the report ("skip").
   */
  readonly onNonFinite?: NonFinitePolicy | undefined;
}

/** Every option of {@link TrainOptions}. */
const TRAIN_OPTIONS: OptionNames<TrainOptions> = {
  epochs: true,
  steps: true,
  signal: true,
  onStep: true,
  onEpoch: true,
  onSave: true,
  onCompile: true,
  onWarning: true,
  progress: true,
  handleSignals: true,
  onDeviceLost: true,
  onNonFinite: true,
};

/** @throws TypeError for an unknown option or no total, RangeError for an invalid number of epochs or steps. */
export function checkTrainOptions(options: TrainOptions): void {
  const { epochs, steps, handleSignals } = checkOptions("train()", options, TRAIN_OPTIONS, "{ epochs: 10 }");
  if (typeof handleSignals === "object") {
    checkOptions("handleSignals", handleSignals, SIGNAL_OPTIONS, "{ graceMs: 20_000 }");
  }
  requireTotals({ epochs, steps });
}

/** What a call of `Trainer.train` did. */
export interface TrainReport {
  /** Steps done by this call. Those that were done again after a lost device count once. */
  readonly steps: number;
  /** Batches that were left out because their loss or gradients were not finite, as `onNonFinite: "skip"` asks for. */
  readonly skipped: readonly NonFiniteBatch[];
  /** Why it returned: everything was done, `Trainer.stop` was called, or which signal came. */
  readonly endedBy: "end" | "stop" | InterruptSignal;
  /**
   * For `process.exitCode`: 0 when everything was done, and 1 when the last step was then to be saved and could not be;
   * after a signal 130 (SIGINT) or 143 (SIGTERM) when the last step is in a durable checkpoint, and 1 when it is not.
   */
  readonly exitCode: number;
  /** Checkpoints that became durable. */
  readonly saves: readonly SaveRecord[];
  /** Checkpoints that did not. */
  readonly failedSaves: readonly FailedSave[];
  /** What went wrong and did not stop the run, in sentences. */
  readonly warnings: readonly string[];
}

/** Collects what happens beside the steps, and tells the listeners. */
export class TrainLog implements SaveListener {
  readonly saves: SaveRecord[] = [];
  readonly failedSaves: FailedSave[] = [];
  readonly warnings: string[] = [];
  readonly #options: TrainOptions;
  readonly #reporter: ProgressReporter | undefined;
  readonly #toldOf = new Set<string>();
  #callbackError: { readonly error: unknown } | undefined;

  constructor(options: TrainOptions, reporter: ProgressReporter | undefined) {
    this.#options = options;
    this.#reporter = reporter;
  }

  onSave(record: SaveRecord): void {
    this.saves.push(record);
    this.#call(() => this.#options.onSave?.(record));
  }

  onFailure(failure: FailedSave): void {
    this.failedSaves.push(failure);
    const { error, tag } = failure;
    this.onWarning(
      `Checkpoint "${tag}" could not be saved: ${error instanceof Error ? error.message : String(error)}`,
    );
  }

  onCompile(progress: WorkProgress): void {
    this.#call(() => this.#options.onCompile?.(progress));
    this.#call(() => this.#reporter?.compile?.(progress));
  }

  onWarning(message: string): void {
    this.warnings.push(message);
    this.#call(() => this.#options.onWarning?.(message));
    this.#call(() => this.#reporter?.warning?.(message));
  }

  /** Warns the first time that it is asked to, for each `what`. */
  warnOnce(what: string, message: string): void {
    if (this.#toldOf.has(what)) return;
    this.#toldOf.add(what);
    this.onWarning(message);
  }

  /** Throws what a callback threw, which may have been in the background. */
  throwIfCallbackFailed(): void {
    const failed = this.#callbackError;
    this.#callbackError = undefined;
    if (failed !== undefined) throw failed.error;
  }

  #call(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.#callbackError ??= { error };
    }
  }
}

/** What a training loop works with. */
export interface LoopContext {
  readonly run: Run;
  readonly options: TrainOptions;
  readonly reporter: ProgressReporter | undefined;
  readonly log: TrainLog;
  readonly autoSaver: AutoSaver | undefined;
  readonly saves: ScheduledSaves | undefined;
  readonly interrupts: Interrupts | undefined;
  /** Whether the loop is to end at the next step. */
  readonly isStopping: () => boolean;
}

/** How a {@link trainLoop} ended. */
export type LoopEnd = Pick<TrainReport, "endedBy" | "exitCode">;

/**
 * Trains until a total of `options` is reached, or it is stopped, or a signal came. In any case no save is under way
 * afterwards.
 */
export async function trainLoop(context: LoopContext): Promise<LoopEnd> {
  const { run, options, log, saves, interrupts, isStopping } = context;
  const startStep = run.step;
  const totalSteps = stepsAtEnd(run, options);
  try {
    for (;;) {
      if (interrupts?.received === undefined) await measureIfDue(context, startStep);
      log.throwIfCallbackFailed();
      throwIfAborted(options.signal);
      if (interrupts?.received !== undefined || isStopping() || run.step >= totalSteps) break;
      await oneStep(context, startStep);
      tellSkipped(context, startStep);
      // A checkpoint was refused because a step stopped the run: no need to find that out later.
      if (saves?.hasSeenStop) await run.readLosses();
      // In this turn signals arrive and a save in the background goes on.
      await nextTurn();
    }
    // Before the last save: nothing is saved of a run that was stopped.
    await run.readLosses();
    tellSkipped(context, startStep);
    await lastSave(context, startStep);
    // A last save that failed because the device is lost is no end: the tensors are gone.
    if (saves !== undefined && saves.durableStep !== run.step) run.store.gpu.assertAlive();
  } catch (error) {
    saves?.leave(error);
    // How far the run came, unless the device is lost.
    await run.settle().catch(() => undefined);
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

async function oneStep(
  { run, options, reporter, autoSaver, saves, interrupts }: LoopContext,
  startStep: number,
): Promise<void> {
  await run.trainStep(options.onNonFinite);
  reporter?.step?.(progressOf(run, options));
  const { lastLoss: loss, lastTerms: terms } = run.history;
  await options.onStep?.({ step: run.step, epoch: run.currentEpoch, loss, terms });
  // Where something is measured first, the save has it; after a signal, the last one follows.
  if (run.isEpochUnmeasured || isValidationDue(run) || interrupts?.received !== undefined) return;
  if (autoSaver?.isDueAfterStep(run.step, startStep) || saves?.isRetryDue) await saves?.save("step");
}

/** Measures what is due after the last step, and saves what is due after that. */
async function measureIfDue(context: LoopContext, startStep: number): Promise<void> {
  const { run, options, reporter, autoSaver, saves, interrupts } = context;
  const isEpochEnd = run.isEpochUnmeasured;
  if (!isEpochEnd && !isValidationDue(run)) return;
  const stops = [options.signal, interrupts?.stopping].flatMap((signal) => signal ?? []);
  try {
    await (isEpochEnd ? finishEpoch : validateWithinEpoch)(run, AbortSignal.any(stops));
  } catch (error) {
    // The resumed run measures it.
    if (interrupts?.stopping.aborted && error === interrupts.stopping.reason) return;
    throw error;
  }
  warnOfMetrics(context);
  const record = run.history.lastEpoch;
  if (isEpochEnd) reporter?.epoch?.(progressOf(run, options));
  if (isEpochEnd && record !== undefined) await options.onEpoch?.(record);
  if (autoSaver === undefined || saves === undefined || interrupts?.received !== undefined) return;
  const moment = isEpochEnd ? "epoch" : "step";
  // Also right after a restore: the checkpoint that it came from was not measured.
  if (saves.isBestDue) return await saves.save(moment);
  if (run.step === startStep) return;
  if (isEpochEnd && autoSaver.isDueAfterEpoch(run.epoch, epochsAtEnd(run, options))) {
    await saves.save("epoch");
  } else if (autoSaver.isDueAfterStep(run.step, startStep) || saves.isRetryDue) await saves.save("step");
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
async function lastSave(
  { run, options, autoSaver, saves, interrupts, isStopping }: LoopContext,
  startStep: number,
): Promise<void> {
  if (autoSaver === undefined || saves === undefined || run.step === startStep) return;
  const isEpochDue = run.isAtEndOfEpoch && !run.isEpochUnmeasured &&
    autoSaver.isDueAfterEpoch(run.epoch, epochsAtEnd(run, options));
  const isCutShort = interrupts?.received !== undefined || isStopping();
  const isWithinEpoch = !run.isAtEndOfEpoch && autoSaver.savesEnd;
  const isDue = isEpochDue || isCutShort || isWithinEpoch || autoSaver.settings.everySteps !== null;
  if (!isDue) return;
  const moment = isEpochDue ? "epoch" : "step";
  await saves.save(moment);
  await saves.settled();
  if (interrupts?.overdue.aborted !== true) await saves.save(moment);
}

/** Where a run stands, for a reporter. */
export function progressOf(run: Run, options: TrainOptions): TrainingProgress {
  return {
    step: run.step,
    totalSteps: stepsAtEnd(run, options),
    epoch: run.currentEpoch,
    totalEpochs: epochsAtEnd(run, options),
    loss: run.history.lastLoss,
    terms: run.history.lastTerms,
    metrics: run.history.lastEpoch?.metrics ?? {},
  };
}
