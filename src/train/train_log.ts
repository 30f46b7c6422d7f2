import type { WorkProgress } from "../base/work.ts";
import { reporterOf } from "./log/progress.ts";
import type { ProgressReporter, TrainingProgress } from "./log/training_progress.ts";
import type { Run } from "./loop/run.ts";
import type { FailedSave, SaveListener, SaveRecord } from "./saves/scheduled_saves.ts";
import { epochsAtEnd, stepsAtEnd } from "./totals.ts";
import type { TrainOptions } from "./train_options.ts";

/** Collects what happens beside the steps, and tells the listeners. */
export class TrainLog implements SaveListener {
  readonly saves: SaveRecord[] = [];
  readonly failedSaves: FailedSave[] = [];
  readonly warnings: string[] = [];
  readonly #run: Run;
  readonly #options: TrainOptions;
  readonly #reporter: ProgressReporter | undefined;
  readonly #toldOf = new Set<string>();
  #examples = 0;
  #saving: string | undefined;
  #isStarted = false;
  #callbackError: { readonly error: unknown } | undefined;

  constructor(run: Run, options: TrainOptions) {
    this.#run = run;
    this.#options = options;
    this.#reporter = reporterOf(options.progress);
  }

  /** Before the first step; not again where a training goes on with another device. */
  async onStart(): Promise<void> {
    if (this.#isStarted) return;
    this.#isStarted = true;
    await this.#reporter?.start?.(this.#progress());
  }

  /** @param size How many examples the batch had. */
  onStep(size: number): void {
    this.#examples += size;
    this.#reporter?.step?.(this.#progress());
  }

  onEpoch(): void {
    this.#reporter?.epoch?.(this.#progress());
  }

  onSaving(tag: string): void {
    this.#saving = tag;
    this.#call(() => this.#reporter?.save?.(this.#progress()));
  }

  onSave(record: SaveRecord): void {
    this.saves.push(record);
    this.#saving = undefined;
    this.#call(() => this.#options.onSave?.(record));
    this.#call(() => this.#reporter?.save?.(this.#progress()));
  }

  onFailure(failure: FailedSave): void {
    this.failedSaves.push(failure);
    this.#saving = undefined;
    const { error, tag } = failure;
    this.onWarning(
      `Checkpoint "${tag}" could not be saved: ${error instanceof Error ? error.message : String(error)}`,
    );
    this.#call(() => this.#reporter?.save?.(this.#progress()));
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

  /** @param how As the report says, or `"error"`. */
  onStop(how: string): void {
    this.#reporter?.stop?.(this.#progress(), how);
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
