import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { HostState, StateInput } from "../../checkpoint/capture/state_types.ts";
import type { RankedMetric } from "../../checkpoint/keep/retention/metric_direction.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import type { Callback, EndEvent, EpochEvent, StartEvent } from "./callback.ts";
import { Plateau, recordOf } from "./plateau.ts";

/** Options of {@link earlyStopping}. */
export interface EarlyStoppingOptions {
  /**
   * What is looked at after each epoch, such as `"val_accuracy"` or `{ metric: "f1", direction: "max" }`. Default
   * `"val_loss"`.
   */
  readonly metric?: string | RankedMetric | undefined;
  /** Epochs in a row without a better value after which the training ends. Default 5. */
  readonly patience?: number | undefined;
  /** A value is better when it is better by more than this. Default 0. */
  readonly minDelta?: number | undefined;
  /**
   * Whether the weights are those of the best epoch when it has ended the training. A copy of them is kept on the host
   * and in each checkpoint. Default true.
   */
  readonly restoreBest?: boolean | undefined;
  /** Where there are several. Default `"earlyStopping"`. */
  readonly name?: string | undefined;
}

/** Every option of {@link EarlyStoppingOptions}. */
export const EARLY_STOPPING_OPTIONS: OptionNames<EarlyStoppingOptions> = {
  metric: true,
  patience: true,
  minDelta: true,
  restoreBest: true,
  name: true,
};

/**
 * Ends a training when a metric no longer gets better, and puts the best weights back: buffers and averages too.
 *
 * The last checkpoint of the run has the last weights, and all else that it takes to go on; `keep: { best }` keeps the
 * best one beside it. A run that was ended stays ended: resumed, `train` does no step and puts the best weights back.
 * Resumed with a larger `patience`, it goes on from the last weights.
 *
 * @example
 * ```ts
 * const callbacks = [earlyStopping({ metric: "val_accuracy", patience: 10 })];
 * ```
 *
 * @throws TypeError or RangeError for an invalid option.
 */
export function earlyStopping(options: EarlyStoppingOptions = {}): Callback {
  checkOptions("earlyStopping()", options, EARLY_STOPPING_OPTIONS, '{ metric: "val_loss", patience: 5 }');
  return new EarlyStopping(options);
}

class EarlyStopping implements Callback {
  readonly name: string;
  readonly #plateau: Plateau;
  readonly #restoresBest: boolean;
  #weights: ReadonlyMap<string, HostTensor> | undefined;
  #isOver = false;

  constructor(
    { metric = "val_loss", patience = 5, minDelta = 0, restoreBest = true, name }: EarlyStoppingOptions,
  ) {
    this.name = name ?? "earlyStopping";
    this.#plateau = new Plateau("earlyStopping", { metric, patience, minDelta });
    this.#restoresBest = restoreBest;
  }

  onStart({ run, stop }: StartEvent): void {
    this.#plateau.requireMeasured(run);
    if (this.#isOver) stop(this.#plateau.description);
  }

  async onEpoch({ run, metrics, stop }: EpochEvent): Promise<void> {
    if (this.#plateau.take(metrics) && this.#restoresBest) this.#weights = await run.readWeights();
    if (!this.#plateau.isReached) return;
    this.#isOver = true;
    stop(this.#plateau.description);
  }

  onEnd({ run, endedBy }: EndEvent): void {
    if (this.#isOver && endedBy === "stop" && this.#weights !== undefined) run.writeWeights(this.#weights);
  }

  state(): StateInput {
    const weights = this.#weights === undefined ? null : Object.fromEntries(this.#weights);
    return { ...this.#plateau.state(), isOver: this.#isOver, weights };
  }

  loadState(state: HostState): void {
    this.#weights = undefined;
    this.#isOver = false;
    if (!this.#plateau.load(state)) return;
    const { isOver, weights } = recordOf(this.name, state);
    // With more patience than it had, there is more to come.
    this.#isOver = isOver === true && this.#plateau.isReached;
    if (weights === null || !this.#restoresBest) return;
    const tensors = Object.entries(recordOf(this.name, weights)).map(([name, tensor]) => {
      if (tensor instanceof HostTensor) return [name, tensor] as const;
      throw new TypeError(`${this.name} did not write this state: "${name}" of its weights is no tensor`);
    });
    this.#weights = new Map(tensors);
  }
}
