import { byteSizeOf, type DType } from "../base/dtype.ts";
import { HostTensor } from "./host_tensor.ts";

/** Elements of a tensor as numbers. Bigints are taken as the nearest number. */
export type Elements = ArrayLike<number> | ArrayLike<bigint>;

/** Bytes as elements; of f16 and bf16 exactly, as floats. They may share memory with the bytes. */
export function elementsOf(bytes: Uint8Array, dtype: DType): Elements {
  return HostTensor.fromBytes(bytes, dtype, [bytes.byteLength / byteSizeOf(dtype)]).toArray();
}

/** What the elements of a tensor are like. */
export interface TensorStatistics {
  /** Elements that were looked at. */
  readonly count: number;
  readonly nan: number;
  readonly infinite: number;
  readonly zeros: number;
  /** Of those that are finite; NaN where none is. */
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  /** Standard deviation, divided by their number. */
  readonly deviation: number;
}

/** Equal bins from `min` to `max`; the last one has both its ends. */
export interface Histogram {
  readonly min: number;
  readonly max: number;
  readonly counts: readonly number[];
}

/** Adds up {@link TensorStatistics} over pieces, in float64, without a sum that could lose the small differences. */
export class StatisticsSum {
  #count = 0;
  #nan = 0;
  #infinite = 0;
  #zeros = 0;
  #min = Infinity;
  #max = -Infinity;
  #mean = 0;
  #squares = 0;

  add(elements: Elements): void {
    for (let i = 0; i < elements.length; i++) {
      const value = Number(elements[i]);
      if (Number.isNaN(value)) this.#nan++;
      else if (!Number.isFinite(value)) this.#infinite++;
      else this.#addFinite(value);
    }
    this.#count += elements.length;
  }

  /** What was found so far. */
  get result(): TensorStatistics {
    const finite = this.#finite;
    return {
      count: this.#count,
      nan: this.#nan,
      infinite: this.#infinite,
      zeros: this.#zeros,
      min: finite === 0 ? NaN : this.#min,
      max: finite === 0 ? NaN : this.#max,
      mean: finite === 0 ? NaN : this.#mean,
      deviation: finite === 0 ? NaN : Math.sqrt(this.#squares / finite),
    };
  }

  #finite = 0;

  /** Welford's way: exact enough where the mean is far from 0. */
  #addFinite(value: number): void {
    this.#finite++;
    if (value === 0) this.#zeros++;
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
    const difference = value - this.#mean;
    this.#mean += difference / this.#finite;
    this.#squares += difference * (value - this.#mean);
  }
}

/** Counts the finite elements of pieces in bins. */
export class HistogramSum {
  readonly #min: number;
  readonly #max: number;
  readonly #counts: number[];

  /** @param bins How many there are from `min` to `max`. */
  constructor({ min, max }: Pick<TensorStatistics, "min" | "max">, bins: number) {
    this.#min = min;
    this.#max = max;
    // NaN where nothing is finite.
    this.#counts = new Array<number>(Number.isNaN(min) ? 0 : bins).fill(0);
  }

  add(elements: Elements): void {
    const last = this.#counts.length - 1;
    // A range that is too wide for one float is halved.
    const width = this.#max / 2 - this.#min / 2;
    for (let i = 0; i < elements.length; i++) {
      const value = Number(elements[i]);
      if (!Number.isFinite(value) || last < 0) continue;
      const place = width === 0 ? 0 : (value / 2 - this.#min / 2) / width;
      const bin = Math.max(0, Math.min(last, Math.floor(place * (last + 1))));
      this.#counts[bin] = (this.#counts[bin] ?? 0) + 1;
    }
  }

  get result(): Histogram {
    return { min: this.#min, max: this.#max, counts: this.#counts };
  }
}
