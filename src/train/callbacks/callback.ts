import type { WorkProgress } from "../../base/work.ts";
import type { HostState, StateInput } from "../../checkpoint/capture/state_types.ts";
import type { HostTensor } from "../../tensor/host_tensor.ts";
import type { EpochRecord, TrainingHistory } from "../loop/history.ts";
import type { SaveRecord } from "../saves/scheduled_saves.ts";
import type { TrainingProgress } from "./training_progress.ts";

/** A run as a callback sees it: always as it is now. */
export interface CallbackRun {
  /** Optimiser updates done. */
  readonly step: number;
  /** Whole epochs done. */
  readonly epoch: number;
  /** Seconds of training, those before a resume included. */
  readonly walltime: number;
  /** Losses of all steps that were read from the GPU, those before a resume included, and what was measured. */
  readonly history: TrainingHistory;
  /** Names of what an epoch measures: `loss`, and such as `val_loss`. */
  readonly metricNames: readonly string[];
  /** Names of what is kept of each step beside its loss, as in `history.terms`. */
  readonly termNames: readonly string[];
  /** Where the run stands, and what is being saved. */
  readonly progress: TrainingProgress;
  /**
   * The learning rate of step `step`, from 0, with what {@link CallbackRun.scaleLearningRate} made of it; that of the
   * parameters in no group. Undefined for an optimiser that does not tell.
   */
  learningRateAt(step: number): number | undefined;
  /**
   * Multiplies all learning rates from the next step on. Checkpoints have it, so that a resumed run goes on with the
   * same rates. Throws a `RangeError` unless `factor` is a finite number from 0.
   */
  scaleLearningRate(factor: number): void;
  /** The weights now, with buffers and, where the optimiser keeps some, averages; by the names of their tensors. */
  readWeights(): Promise<ReadonlyMap<string, HostTensor>>;
  /** Puts weights in place of those of the run. */
  writeWeights(weights: ReadonlyMap<string, HostTensor>): void;
}

/** What every event has. */
export interface CallbackEvent {
  /** The run that it is of. */
  readonly run: CallbackRun;
  /**
   * Ends the training at its next step, as `Trainer.stop` does.
   *
   * @param reason For people: the report says it, as `stoppedBy.reason`.
   */
  stop(reason?: string): void;
  /** Adds to the warnings of the report, and tells whoever listens to them. */
  warn(message: string): void;
}

/** A training begins, or goes on with another device after the one before was lost. */
export interface StartEvent extends CallbackEvent {
  /** The checkpoint that it goes on from; undefined where the run is as it was left. */
  readonly resumedFrom: string | undefined;
}

/** The losses of some steps that follow each other. */
export interface LossesEvent extends CallbackEvent {
  /** The step that the first one is of, from 0. */
  readonly step: number;
  /** One f32 a step, NaN for a batch that was skipped. */
  readonly losses: Float32Array;
}

/** What an epoch, or a validation within one, has measured. */
export interface EpochEvent extends CallbackEvent, EpochRecord {}

/** A checkpoint became durable. */
export interface SaveEvent extends CallbackEvent, SaveRecord {}

/** A training has ended, and nothing is being saved any more. */
export interface EndEvent extends CallbackEvent {
  /** As the report says it, or `"error"` where `train` rejects. */
  readonly endedBy: "end" | "stop" | "SIGINT" | "SIGTERM" | "error";
  /** Why it rejects. */
  readonly error?: unknown;
}

/**
 * Something that looks at a training and may end it. Training waits for what a method returns, but for `onCompile`,
 * `onStep`, `onSaving` and `onWarning`.
 *
 * What one throws ends the training with `callback_failed`, which names it; the last step is saved first, as after any
 * other error. The others are told all the same, and what it was told counts as told: a resumed run goes on behind it.
 *
 * @example
 * ```ts
 * const good: Callback = {
 *   name: "good enough",
 *   onEpoch: ({ metrics, stop }) => {
 *     if ((metrics.val_accuracy ?? 0) > 0.99) stop("99 % are enough");
 *   },
 * };
 * ```
 */
export interface Callback {
  /** What messages call it and its state is saved under. Each callback of a trainer has another one. */
  readonly name: string;
  /** Kernels are being compiled, before `onStart`: with none done, and after each. */
  onCompile?(progress: WorkProgress): void;
  /** Before the first step, when its state is loaded. */
  onStart?(event: StartEvent): void | Promise<void>;
  /** After each step. It may have its loss only later. */
  onStep?(event: CallbackEvent): void;
  /**
   * The loss of every step, once and in order, some steps later: in blocks, at the latest before what an epoch measured
   * is told. A resumed run goes on where the saved one was.
   */
  onLosses?(event: LossesEvent): void | Promise<void>;
  /** After each epoch. A checkpoint of that step is saved afterwards. */
  onEpoch?(event: EpochEvent): void | Promise<void>;
  /** After each validation within an epoch. */
  onValidation?(event: EpochEvent): void | Promise<void>;
  /** A save has begun, or has failed. */
  onSaving?(event: CallbackEvent): void;
  /** A checkpoint became durable. Training goes on meanwhile; the call waits for what is returned at its end. */
  onSave?(event: SaveEvent): void | Promise<void>;
  /** What went wrong and did not end the training. */
  onWarning?(message: string): void;
  /** At the end, also of a training that failed, when nothing is being saved any more. */
  onEnd?(event: EndEvent): void | Promise<void>;
  /** What checkpoints keep of it. Called in the tick in which the run is frozen. */
  state?(): StateInput;
  /**
   * Takes back what {@link Callback.state} gave, before `onStart`. Undefined means to begin afresh: the run was loaded
   * from a checkpoint that has nothing of this callback.
   */
  loadState?(state: HostState): void | Promise<void>;
}
