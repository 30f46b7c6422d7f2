import type { WorkProgress } from "../base/work.ts";
import type { EndEvent } from "./callbacks/callback.ts";
import type { CallbackList } from "./callbacks/callback_list.ts";
import { CallbackSession, type StopRequest } from "./callbacks/callback_session.ts";
import { RunView } from "./callbacks/run_view.ts";
import type { TrainingProgress } from "./callbacks/training_progress.ts";
import { progressCallback } from "./log/progress.ts";
import { RunLog } from "./log/run_log.ts";
import type { EpochRecord } from "./loop/history.ts";
import { LossRing } from "./loop/loss_ring.ts";
import type { Run } from "./loop/run.ts";
import type { FailedSave, SaveListener, SaveRecord } from "./saves/scheduled_saves.ts";
import { epochsAtEnd, stepsAtEnd } from "./totals.ts";
import type { TrainOptions } from "./train_options.ts";

/** Collects what happens in a training, and tells callbacks and listeners. */
export class TrainLog implements SaveListener {
  readonly saves: SaveRecord[] = [];
  readonly failedSaves: FailedSave[] = [];
  readonly warnings: string[] = [];
  readonly #run: Run;
  readonly #options: TrainOptions;
  readonly #callbacks: CallbackSession;
  readonly #toldOf = new Set<string>();
  #examples = 0;
  #saving: string | undefined;
  #listenerError: { readonly error: unknown } | undefined;

  /**
   * @param writes Whether logs are written and progress is shown: of several ranks, one does.
   * @throws TypeError for a progress that is none.
   */
  constructor(run: Run, options: TrainOptions, callbacks: CallbackList, writes: boolean = true) {
    this.#run = run;
    this.#options = options;
    const progress = writes ? progressCallback(options.progress) : undefined;
    const view = new RunView(run, () => this.#progress());
    this.#callbacks = new CallbackSession(
      callbacks,
      writes ? callbacks.all : callbacks.all.filter((each) => !(each instanceof RunLog)),
      progress === undefined ? [] : [progress],
      view,
      (message) => this.onWarning(message),
    );
  }

  /** Which callback asked for the end. */
  get stopRequest(): StopRequest | undefined {
    return this.#callbacks.stopRequest;
  }

  /** Before the first step, and where a training goes on with another device. */
  async onStart(): Promise<void> {
    const { resumedFrom } = this.#run;
    await this.#callbacks.start(resumedFrom);
    this.#run.resumedFrom = undefined;
  }

  /** @param size How many examples the batch had. */
  async onStep(size: number): Promise<void> {
    this.#examples += size;
    this.#callbacks.step();
    // Those that are read whatever the GPU's pace is: so what callbacks keep is a function of the step.
    await this.#callbacks.losses(LossRing.historyLengthAt(this.#run.step));
    const { step, currentEpoch: epoch, history: { lastLoss: loss, lastTerms: terms } } = this.#run;
    await this.#options.onStep?.({ step, epoch, loss, terms });
  }

  /** To be called when all losses were read. */
  async tellLosses(): Promise<void> {
    await this.#callbacks.losses(this.#run.step);
  }

  async onEpoch(record: EpochRecord): Promise<void> {
    await this.tellLosses();
    await this.#callbacks.epoch(record);
    await this.#options.onEpoch?.(record);
  }

  async onValidation(record: EpochRecord): Promise<void> {
    await this.tellLosses();
    await this.#callbacks.validation(record);
  }

  onSaving(tag: string): void {
    this.#saving = tag;
    this.#callbacks.saving();
  }

  onSave(record: SaveRecord): void {
    this.saves.push(record);
    this.#saving = undefined;
    this.#call(() => this.#options.onSave?.(record));
    this.#callbacks.save(record);
  }

  onFailure(failure: FailedSave): void {
    this.failedSaves.push(failure);
    this.#saving = undefined;
    const { error, tag } = failure;
    this.onWarning(
      `Checkpoint "${tag}" could not be saved: ${error instanceof Error ? error.message : String(error)}`,
    );
    this.#callbacks.saving();
  }

  onCompile(progress: WorkProgress): void {
    this.#call(() => this.#options.onCompile?.(progress));
    this.#callbacks.compile(progress);
  }

  onWarning(message: string): void {
    this.warnings.push(message);
    this.#call(() => this.#options.onWarning?.(message));
    this.#callbacks.warning(message);
  }

  async onEnd(end: Pick<EndEvent, "endedBy" | "error">): Promise<void> {
    await this.#callbacks.end(end);
  }

  /** Warns the first time that it is asked to, for each `what`. */
  warnOnce(what: string, message: string): void {
    if (this.#toldOf.has(what)) return;
    this.#toldOf.add(what);
    this.onWarning(message);
  }

  /** Throws what a listener or a callback threw, which may have been in the background. */
  throwIfCallbackFailed(): void {
    const failed = this.#listenerError;
    this.#listenerError = undefined;
    if (failed !== undefined) throw failed.error;
    this.#callbacks.throwIfFailed();
  }

  #call(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.#listenerError ??= { error };
    }
  }

  #progress(): TrainingProgress {
    const { step, currentEpoch, history } = this.#run;
    return {
      step,
      totalSteps: stepsAtEnd(this.#run, this.#options),
      epoch: currentEpoch,
      totalEpochs: epochsAtEnd(this.#run, this.#options),
      examples: this.#examples,
      loss: history.lastLoss,
      terms: history.lastTerms,
      metrics: history.lastEpoch?.metrics ?? {},
      saving: this.#saving,
      saves: this.saves.length,
    };
  }
}
