import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { HostState, StateInput } from "../../checkpoint/capture/state_types.ts";
import type { RankedMetric } from "../../checkpoint/keep/retention/metric_direction.ts";
import type { Callback, EpochEvent, StartEvent } from "./callback.ts";
import { Plateau, recordOf } from "./plateau.ts";

/** Options of {@link reduceOnPlateau}. */
export interface ReduceOnPlateauOptions {
  /**
   * What is looked at after each epoch, such as `"val_accuracy"` or `{ metric: "f1", direction: "max" }`. Default
   * `"val_loss"`.
   */
  readonly metric?: string | RankedMetric | undefined;
  /** What learning rates are multiplied by, below 1. Default 0.1. */
  readonly factor?: number | undefined;
  /** Epochs in a row without a better value after which they are. Default 10. */
  readonly patience?: number | undefined;
  /** A value is better when it is better by more than this. Default 0. */
  readonly minDelta?: number | undefined;
  /** Epochs after a reduction that do not count. Default 0. */
  readonly cooldown?: number | undefined;
  /** All reductions together make rates no smaller than this many times what the schedule says. Default 0. */
  readonly minScale?: number | undefined;
  /** Where there are several. Default `"reduceOnPlateau"`. */
  readonly name?: string | undefined;
}

/** Every option of {@link ReduceOnPlateauOptions}. */
export const REDUCE_ON_PLATEAU_OPTIONS: OptionNames<ReduceOnPlateauOptions> = {
  metric: true,
  factor: true,
  patience: true,
  minDelta: true,
  cooldown: true,
  minScale: true,
  name: true,
};

/**
 * Makes the learning rates smaller when a metric no longer gets better, on top of what the schedule says. Follows
 * `ReduceLROnPlateau` of Keras. A resumed run goes on with the same rates.
 *
 * @example
 * ```ts
 * const callbacks = [reduceOnPlateau({ metric: "val_loss", factor: 0.5, patience: 3 })];
 * ```
 *
 * @throws TypeError or RangeError for an invalid option.
 */
export function reduceOnPlateau(options: ReduceOnPlateauOptions = {}): Callback {
  checkOptions(
    "reduceOnPlateau()",
    options,
    REDUCE_ON_PLATEAU_OPTIONS,
    '{ metric: "val_loss", factor: 0.1, patience: 10 }',
  );
  return new ReduceOnPlateau(options);
}

class ReduceOnPlateau implements Callback {
  readonly name: string;
  readonly #plateau: Plateau;
  readonly #factor: number;
  readonly #cooldown: number;
  readonly #minScale: number;
  /** All of its reductions together. */
  #scale = 1;
  /** Epochs left that do not count. */
  #cooling = 0;

  constructor(options: ReduceOnPlateauOptions) {
    const { metric = "val_loss", factor = 0.1, patience = 10, minDelta = 0 } = options;
    const { cooldown = 0, minScale = 0, name } = options;
    this.name = name ?? "reduceOnPlateau";
    this.#plateau = new Plateau("reduceOnPlateau", { metric, patience, minDelta });
    if (!(factor > 0 && factor < 1)) {
      throw new RangeError(`reduceOnPlateau: factor is a number above 0 and below 1, found ${factor}`);
    }
    if (!Number.isSafeInteger(cooldown) || cooldown < 0) {
      throw new RangeError(`reduceOnPlateau: cooldown is a number of epochs from 0, found ${cooldown}`);
    }
    if (!(minScale >= 0 && minScale <= 1)) {
      throw new RangeError(`reduceOnPlateau: minScale is a number from 0 to 1, found ${minScale}`);
    }
    this.#factor = factor;
    this.#cooldown = cooldown;
    this.#minScale = minScale;
  }

  onStart({ run }: StartEvent): void {
    this.#plateau.requireMeasured(run);
  }

  onEpoch({ run, metrics }: EpochEvent): void {
    this.#plateau.take(metrics);
    if (this.#cooling > 0) {
      this.#cooling--;
      this.#plateau.forgive();
    }
    if (!this.#plateau.isReached) return;
    this.#plateau.forgive();
    const scale = Math.max(this.#minScale, this.#scale * this.#factor);
    if (scale === this.#scale) return;
    run.scaleLearningRate(scale / this.#scale);
    this.#scale = scale;
    this.#cooling = this.#cooldown;
  }

  state(): StateInput {
    return { ...this.#plateau.state(), scale: this.#scale, cooling: this.#cooling };
  }

  loadState(state: HostState): void {
    const goesOn = this.#plateau.load(state);
    // The run has the rates, whatever is looked at from here on.
    const { scale = 1, cooling = 0 } = state === undefined ? {} : recordOf(this.name, state);
    if (typeof scale !== "number" || typeof cooling !== "number") {
      throw new TypeError(`${this.name} did not write this state: it has no scale and cooling`);
    }
    this.#scale = scale;
    this.#cooling = goesOn ? cooling : 0;
  }
}
