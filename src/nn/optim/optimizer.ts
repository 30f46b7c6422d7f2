import type { OptionNames } from "../../base/options.ts";
import type { Dispatch } from "../../kernels/dispatch.ts";
import type { Schedule } from "../schedules.ts";

/** What one update binds; all tensors have the same layout. */
export interface UpdateBindings<B> {
  /** Read and written. */
  readonly parameter: B;
  /** Read. */
  readonly gradient: B;
  /** One a slot, in the order of {@link Optimizer.slots}. Read and written. */
  readonly slots: readonly B[];
  /** The uniform with the step's scalars. */
  readonly scalars: B;
}

/**
 * How parameters follow from gradients. Its tensors (`slots`) live in the store beside the parameters and
 * begin as zeros.
 */
export interface Optimizer {
  readonly name: string;
  /** Names of the tensors that it keeps for each parameter: the groups `optimizer.<slot>` of the store. */
  readonly slots: readonly string[];
  /**
   * The numbers of update `step` (0 is the first), which the kernel reads from the step's scalars. At most
   * 16.
   */
  scalars(step: number): readonly number[];
  /** The one dispatch that updates `elementCount` elements: a whole slab. */
  update<B>(bindings: UpdateBindings<B>, elementCount: number): Dispatch<B>;
}

/** Options that every optimiser has. */
export interface LearningRateOption {
  /** A number, or a function of the update's number, which begins at 0. */
  readonly learningRate: number | Schedule;
}

/** Every option of {@link LearningRateOption}. */
export const LEARNING_RATE_OPTION: OptionNames<LearningRateOption> = { learningRate: true };
