import type { WorkProgress } from "../../base/work.ts";

/** Where a run stands. */
export interface TrainingProgress {
  /** Optimiser updates done. */
  readonly step: number;
  /** Optimiser updates at the end of the run. */
  readonly totalSteps: number;
  /** The epoch that is being trained, 1-based. */
  readonly epoch: number;
  /** Epochs at the end of the run. */
  readonly totalEpochs: number;
  /** Examples that this call has trained on. */
  readonly examples: number;
  /** The newest loss that was read from the GPU; some steps old. */
  readonly loss: number | undefined;
  /** Of the same step: each term of the loss and each regulariser, by its name. Nothing for a loss that is one. */
  readonly terms?: Readonly<Record<string, number>> | undefined;
  /** What the last epoch measured. */
  readonly metrics: Readonly<Record<string, number>>;
  /** The name of the checkpoint that is being saved. */
  readonly saving?: string | undefined;
  /** Checkpoints that this call has saved. */
  readonly saves: number;
}

/** Shows the progress of a run. Nothing that it throws is caught. */
export interface ProgressReporter {
  /** Called while kernels are compiled, before `start`: with none done, and after each. */
  compile?(progress: WorkProgress): void;
  /** Called before the first step. Training waits for it. */
  start?(progress: TrainingProgress): void | Promise<void>;
  /** Called after each step. */
  step?(progress: TrainingProgress): void;
  /** Called after each epoch, when its metrics are known. */
  epoch?(progress: TrainingProgress): void;
  /** Called when a save has begun, and when it has ended. */
  save?(progress: TrainingProgress): void;
  /** Called with what went wrong and did not stop the run. */
  warning?(message: string): void;
  /**
   * Called at the end, also of a run that failed.
   *
   * @param how `"end"`, `"stop"`, the signal that came, or `"error"`.
   */
  stop?(progress: TrainingProgress, how: string): void;
}

/** The part of a Node stream that is written to. */
export interface TextStream {
  /** Whether a person may be looking: then a line is drawn over. */
  readonly isTTY?: boolean;
  /** How many characters a line of the terminal has. */
  readonly columns?: number;
  /** Writes text. */
  write(text: string): unknown;
}
