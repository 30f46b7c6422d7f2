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
