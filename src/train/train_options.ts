import { checkOptions, type OptionNames } from "../base/options/options.ts";
import type { WorkProgress } from "../base/work.ts";
import type { OnDeviceLost } from "./device_losses.ts";
import { type InterruptSignal, SIGNAL_OPTIONS, type SignalOptions } from "./interrupts.ts";
import type { Callback } from "./callbacks/callback.ts";
import type { StopRequest } from "./callbacks/callback_session.ts";
import type { EpochRecord } from "./loop/history.ts";
import type { NonFiniteBatch, NonFinitePolicy } from "./loop/non_finite.ts";
import type { FailedSave, SaveRecord } from "./saves/scheduled_saves.ts";
import { requireTotals } from "./totals.ts";

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
   * What shows the progress: true for `terminalProgress()`, false for nothing, or a callback. Default: a bar if
   * standard error is a terminal.
   */
  readonly progress?: Callback | boolean | undefined;
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
  /** Why it returned: all was done, `Trainer.stop` or a callback asked for it, or which signal came. */
  readonly endedBy: "end" | "stop" | InterruptSignal;
  /** The callback that ended it, where one did. */
  readonly stoppedBy?: StopRequest | undefined;
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
