/** What was measured at the end of one epoch. */
export interface EpochRecord {
  /** 1-based. */
  readonly epoch: number;
  /** Optimiser updates done at its end. */
  readonly step: number;
  /**
   * `loss` (mean over the epoch's steps), and with validation data `val_loss`, `val_accuracy`,
   * `val_<metric>`.
   */
  readonly metrics: Readonly<Record<string, number>>;
}

/**
 * The losses of a run, one f32 a step, and what was measured after each epoch.
 *
 * Losses arrive in blocks, some steps after they were computed (see {@link LossRing}); a block may be written
 * twice.
 */
export class TrainingHistory {
  #losses = new Float32Array(256);
  #length = 0;
  #epochs: EpochRecord[] = [];

  /** Losses of the steps 0, 1, 2 … as far as they were read from the GPU. A copy. */
  get loss(): Float32Array {
    return this.#losses.slice(0, this.#length);
  }

  /** How many losses are known. */
  get length(): number {
    return this.#length;
  }

  get epochs(): readonly EpochRecord[] {
    return this.#epochs;
  }

  /** The newest known loss. */
  get lastLoss(): number | undefined {
    return this.#length === 0 ? undefined : this.#losses[this.#length - 1];
  }

  /** What the last finished epoch measured, or nothing before the first. */
  get lastEpoch(): EpochRecord | undefined {
    return this.#epochs[this.#epochs.length - 1];
  }

  /** Takes the losses of the steps from `step` on. Throws a `RangeError` if that would leave a hole. */
  write(step: number, losses: Float32Array): void {
    if (step > this.#length) {
      throw new RangeError(`Cannot write the losses from step ${step}: only ${this.#length} are known`);
    }
    const end = step + losses.length;
    if (end > this.#losses.length) {
      const grown = new Float32Array(Math.max(end, 2 * this.#losses.length));
      grown.set(this.#losses.subarray(0, this.#length));
      this.#losses = grown;
    }
    this.#losses.set(losses, step);
    this.#length = Math.max(this.#length, end);
  }

  addEpoch(record: EpochRecord): void {
    this.#epochs.push(record);
  }

  /**
   * Mean of the losses from step `from` up to and without `to`, summed in step order in float64. NaN for
   * none.
   */
  meanLoss(from: number, to: number): number {
    let sum = 0;
    for (let step = from; step < to; step++) sum += this.#losses[step] ?? NaN;
    return sum / (to - from);
  }

  /** Forgets everything and takes these instead. */
  replace(losses: Float32Array, epochs: readonly EpochRecord[]): void {
    this.#length = 0;
    this.#epochs = [...epochs];
    this.write(0, losses);
  }
}
