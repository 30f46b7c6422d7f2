import type { HostState, StateInput } from "../../checkpoint/capture/state_types.ts";
import { type RankedMetric, rankedMetric } from "../../checkpoint/keep/retention/metric_direction.ts";
import type { CallbackRun } from "./callback.ts";

/** What says that a metric no longer gets better. */
export interface PlateauRule {
  /** What is looked at after each epoch, such as `"val_accuracy"` or `{ metric: "f1", direction: "max" }`. */
  readonly metric: string | RankedMetric;
  /** A value is better when it is better by more than this. */
  readonly minDelta: number;
  /** Epochs in a row without a better value that are a plateau. */
  readonly patience: number;
}

/** Counts the epochs since a metric was best. */
export class Plateau {
  readonly #what: string;
  readonly #metric: string;
  readonly #direction: "min" | "max";
  readonly #minDelta: number;
  readonly #patience: number;
  #best: number | undefined;
  #waited = 0;

  /**
   * @param what Whose options they are, for messages.
   * @throws TypeError or RangeError for options that are none.
   */
  constructor(what: string, { metric, minDelta, patience }: PlateauRule) {
    if (typeof metric !== "string" && (typeof metric !== "object" || metric === null)) {
      throw new TypeError(`${what}: metric is a name, such as "val_loss", found ${typeof metric}`);
    }
    const ranked = rankedMetric(metric);
    if (!Number.isFinite(minDelta) || minDelta < 0) {
      throw new RangeError(`${what}: minDelta is a number from 0, found ${minDelta}`);
    }
    if (!Number.isSafeInteger(patience) || patience < 1) {
      throw new RangeError(`${what}: patience is a number of epochs from 1, found ${patience}`);
    }
    this.#what = what;
    this.#metric = ranked.metric;
    this.#direction = ranked.direction;
    this.#minDelta = minDelta;
    this.#patience = patience;
  }

  /** The best value so far. */
  get best(): number | undefined {
    return this.#best;
  }

  /** Whether it was not better for so many epochs. */
  get isReached(): boolean {
    return this.#waited >= this.#patience;
  }

  /** What it says, for people. */
  get description(): string {
    const epochs = this.#patience === 1 ? "epoch" : `${this.#patience} epochs`;
    return `${this.#metric} did not get better than ${this.#best ?? "nothing"} in the last ${epochs}`;
  }

  /** @throws RangeError for a metric that the run never measures. */
  requireMeasured({ metricNames }: Pick<CallbackRun, "metricNames">): void {
    if (metricNames.includes(this.#metric)) return;
    throw new RangeError(
      `${this.#what} looks at "${this.#metric}", which this run never measures; it has ${
        metricNames.join(", ")
      }. ` +
        "What begins with val_ needs validation data",
    );
  }

  /** Takes what an epoch measured, and says whether that is the best. What is not finite never is. */
  take(metrics: Readonly<Record<string, number>>): boolean {
    const value = metrics[this.#metric] ?? NaN;
    const gain = this.#best === undefined
      ? Infinity
      : this.#direction === "min"
      ? this.#best - value
      : value - this.#best;
    const isBetter = Number.isFinite(value) && gain > this.#minDelta;
    if (isBetter) this.#best = value;
    this.#waited = isBetter ? 0 : this.#waited + 1;
    return isBetter;
  }

  /** Begins to count anew; the best stays. */
  forgive(): void {
    this.#waited = 0;
  }

  state(): { readonly [key: string]: StateInput } {
    return {
      metric: this.#metric,
      direction: this.#direction,
      best: this.#best ?? null,
      waited: this.#waited,
    };
  }

  /**
   * Takes back {@link Plateau.state}; begins afresh where that is of another metric.
   *
   * @returns Whether it goes on.
   * @throws TypeError for what is no such state.
   */
  load(state: HostState): boolean {
    this.#best = undefined;
    this.#waited = 0;
    if (state === undefined) return false;
    const { metric, direction, best, waited } = recordOf(this.#what, state);
    if (metric !== this.#metric || direction !== this.#direction) return false;
    if (!(best === null || typeof best === "number") || typeof waited !== "number") {
      throw new TypeError(`${this.#what} did not write this state: it has no best and waited`);
    }
    this.#best = best ?? undefined;
    this.#waited = waited;
    return true;
  }
}

/** @throws TypeError for a state that is no record. */
export function recordOf(what: string, state: HostState): { readonly [key: string]: HostState } {
  if (typeof state === "object" && state !== null && Object.getPrototypeOf(state) === Object.prototype) {
    return state as { readonly [key: string]: HostState };
  }
  throw new TypeError(`${what} did not write this state: expected a record, found ${typeof state}`);
}
