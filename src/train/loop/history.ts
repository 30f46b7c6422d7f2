/** What was measured at the end of one epoch, or within it. */
export interface EpochRecord {
  /** 1-based. */
  readonly epoch: number;
  /** Steps done by then. */
  readonly step: number;
  /**
   * `loss` (mean over the epoch's steps so far), and with validation data `val_loss`, `val_accuracy`,
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
  #skipped: number[] = [];
  #epochs: EpochRecord[] = [];
  #validations: EpochRecord[] = [];

  /** Losses of the steps 0, 1, 2 … as far as they were read from the GPU; NaN for a batch that was skipped. A copy. */
  get loss(): Float32Array {
    return this.#losses.slice(0, this.#length);
  }

  /** Steps, from 0, whose batch was skipped because its loss or its gradients were not finite. */
  get skipped(): readonly number[] {
    return this.#skipped;
  }

  /** How many losses are known. */
  get length(): number {
    return this.#length;
  }

  get epochs(): readonly EpochRecord[] {
    return this.#epochs;
  }

  /** What was measured within epochs, as `validation: { everySteps }` asks for. */
  get validations(): readonly EpochRecord[] {
    return this.#validations;
  }

  /** What was measured of the weights after `step` steps. */
  measuredAt(step: number): EpochRecord | undefined {
    return [this.lastEpoch, this.#validations.at(-1)].find((record) => record?.step === step);
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
    for (let known = this.#length; known < end; known++) {
      if (Number.isNaN(losses[known - step])) this.#skipped.push(known);
    }
    this.#length = Math.max(this.#length, end);
  }

  addEpoch(record: EpochRecord): void {
    this.#epochs.push(record);
  }

  addValidation(record: EpochRecord): void {
    this.#validations.push(record);
  }

  /**
   * Mean of the losses from step `from` up to and without `to`, summed in step order in float64. Batches that
   * were skipped do not count. NaN for none.
   */
  meanLoss(from: number, to: number): number {
    let sum = 0;
    let count = 0;
    for (const loss of this.#losses.subarray(from, Math.min(to, this.#length))) {
      if (Number.isNaN(loss)) continue;
      sum += loss;
      count += 1;
    }
    return sum / count;
  }

  /** Forgets everything and takes these instead. */
  replace(
    losses: Float32Array,
    epochs: readonly EpochRecord[],
    validations: readonly EpochRecord[] = [],
  ): void {
    this.#length = 0;
    this.#skipped = [];
    this.#epochs = [...epochs];
    this.#validations = [...validations];
    this.write(0, losses);
  }
}
