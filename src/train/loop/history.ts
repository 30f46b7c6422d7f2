import { showAs } from "../../base/printable.ts";
import { historyText } from "../show/history_text.ts";
import { plot } from "../show/plot.ts";

/** What was measured at the end of one epoch, or within it. */
export interface EpochRecord {
  /** 1-based. */
  readonly epoch: number;
  /** Steps done by then. */
  readonly step: number;
  /**
   * `loss` and each term of it by its name (means over the epoch's examples so far), and with validation data
   * `val_loss`, `val_accuracy`, `val_<metric>`, `val_<term>`. With `clipGradients.norm`, `gradient_norm` is a mean
   * over the steps.
   */
  readonly metrics: Readonly<Record<string, number>>;
}

/** One f32 a step, by name: what of a step is kept beside its loss. */
export type StepColumns = Readonly<Record<string, Float32Array>>;

/** Numbers that become more. */
class Column {
  #numbers = new Float32Array(256);
  length = 0;

  /** Those from `from` to below `to`, as they are there. */
  view(from: number, to: number): Float32Array {
    return this.#numbers.subarray(from, Math.min(to, this.length));
  }

  at(index: number): number | undefined {
    return index < this.length ? this.#numbers[index] : undefined;
  }

  /** What was never written is NaN. */
  write(from: number, numbers: Float32Array): void {
    const end = from + numbers.length;
    if (end > this.#numbers.length) {
      const grown = new Float32Array(Math.max(end, 2 * this.#numbers.length));
      grown.set(this.view(0, this.length));
      this.#numbers = grown;
    }
    if (from > this.length) this.#numbers.fill(NaN, this.length, from);
    this.#numbers.set(numbers, from);
    this.length = Math.max(this.length, end);
  }
}

/**
 * The losses of a run, one f32 a step, and what was measured after each epoch.
 *
 * Losses arrive in blocks, some steps after they were computed (see {@link LossRing}); a block may be written
 * twice.
 */
export class TrainingHistory {
  #losses = new Column();
  #columns = new Map<string, Column>();
  #skipped: number[] = [];
  #epochs: EpochRecord[] = [];
  #validations: EpochRecord[] = [];

  /** Losses of the steps 0, 1, 2 … as far as they were read from the GPU; NaN for a batch that was skipped. A copy. */
  get loss(): Float32Array {
    return this.#losses.view(0, this.length).slice();
  }

  /**
   * The same of each term of the loss, before its factor, and of each regulariser, by their names; none for a loss
   * that is one. Where examples have weights, a name that ends in `.weight` has the sum of a step's. With
   * `clipGradients.norm`, `gradient_norm` has the norms of all gradients. Copies.
   */
  get terms(): Readonly<Record<string, Float32Array>> {
    return this.columnsBefore(this.length);
  }

  /** Steps, from 0, whose batch was skipped because its loss or its gradients were not finite. */
  get skipped(): readonly number[] {
    return this.#skipped;
  }

  /** How many losses are known. */
  get length(): number {
    return this.#losses.length;
  }

  /** What was measured after each epoch, in order. */
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
    return this.#losses.at(this.length - 1);
  }

  /** The newest known {@link TrainingHistory.terms}, without weights. */
  get lastTerms(): Readonly<Record<string, number>> {
    const last = [...this.#columns].filter(([name]) => !isWeight(name)).map(([name, column]) =>
      [name, column.at(this.length - 1) ?? NaN] as const
    );
    return this.length === 0 ? {} : Object.fromEntries(last);
  }

  /** What the last finished epoch measured, or nothing before the first. */
  get lastEpoch(): EpochRecord | undefined {
    return this.#epochs[this.#epochs.length - 1];
  }

  /**
   * Takes the losses of the steps from `step` on, and what else is kept of them. Throws a `RangeError` if that would
   * leave a hole.
   * @internal
   */
  write(step: number, losses: Float32Array, columns: StepColumns = {}): void {
    const known = this.length;
    if (step > known) {
      throw new RangeError(`Cannot write the losses from step ${step}: only ${known} are known`);
    }
    this.#losses.write(step, losses);
    for (const [name, numbers] of Object.entries(columns)) {
      const column = this.#columns.get(name) ?? new Column();
      this.#columns.set(name, column);
      column.write(step, numbers);
    }
    for (let at = known; at < this.length; at++) {
      if (Number.isNaN(losses[at - step])) this.#skipped.push(at);
    }
  }

  /**
   * What is kept of the first `steps` steps beside their losses. Copies.
   * @internal
   */
  columnsBefore(steps: number): StepColumns {
    const copies = [...this.#columns].map(([name, column]) => [name, column.view(0, steps).slice()] as const);
    return Object.fromEntries(copies);
  }

  /**
   * Takes what was measured after an epoch.
   *
   * @internal
   */
  addEpoch(record: EpochRecord): void {
    this.#epochs.push(record);
  }

  /**
   * Takes what was measured within an epoch.
   *
   * @internal
   */
  addValidation(record: EpochRecord): void {
    this.#validations.push(record);
  }

  /**
   * Mean of the losses from step `from` to below `to`, summed in step order in float64. Batches that were skipped do
   * not count. NaN for none.
   */
  meanLoss(from: number, to: number): number {
    return this.mean(undefined, from, to, () => 1);
  }

  /**
   * The sum of `name`, or of the losses, over steps, each times its weight, divided by the sum of the weights; of
   * steps that were skipped and of those without a weight nothing counts. NaN for none.
   * @internal
   */
  mean(name: string | undefined, from: number, to: number, weightOf: (step: number) => number): number {
    let sum = 0;
    let weights = 0;
    const column = name === undefined ? this.#losses : this.#columns.get(name);
    (column?.view(from, Math.min(to, this.length)) ?? []).forEach((number, index) => {
      const weight = weightOf(from + index);
      if (Number.isNaN(number) || !(weight > 0)) return;
      sum += number * weight;
      weights += weight;
    });
    return sum / weights;
  }

  /**
   * What is kept of a step under `name`.
   * @internal
   */
  at(name: string, step: number): number {
    return this.#columns.get(name)?.at(step) ?? NaN;
  }

  /**
   * Losses of the steps from `from` to below `to`, as far as they are known. A copy.
   * @internal
   */
  lossesBetween(from: number, to: number): Float32Array {
    return this.#losses.view(from, to).slice();
  }

  static {
    showAs(TrainingHistory.prototype, historyText, (history) => plot(history));
  }

  /**
   * Forgets everything and takes these instead.
   * @internal
   */
  replace(
    losses: Float32Array,
    epochs: readonly EpochRecord[],
    validations: readonly EpochRecord[] = [],
    columns: StepColumns = {},
  ): void {
    this.#losses = new Column();
    this.#columns = new Map();
    this.#skipped = [];
    this.#epochs = [...epochs];
    this.#validations = [...validations];
    this.write(0, losses, columns);
  }
}

/** Whether a column has the weights of another. */
export function isWeight(name: string): boolean {
  return name.endsWith(".weight");
}
