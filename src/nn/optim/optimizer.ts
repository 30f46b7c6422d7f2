import type { OptionNames } from "../../base/options/options.ts";
import type { Dispatch } from "../../gpu/dispatch.ts";
import type { Schedule } from "./schedules/schedule.ts";

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
  /**
   * The uniform with the step's verdict: `applies`, which is 0 where nothing may be changed, and `corrections`,
   * `1 - decay^updates` for each of {@link Optimizer.decays}.
   */
  readonly verdict: B;
}

/**
 * How parameters follow from gradients. Its tensors (`slots`) live in the store beside the parameters and
 * begin as zeros.
 */
export interface Optimizer {
  /** Such as `"adamw"`. Resuming with another one is an error. */
  readonly name: string;
  /** Names of the tensors that it keeps for each parameter: the groups `optimizer.<slot>` of the store. */
  readonly slots: readonly string[];
  /**
   * Decays of running means, at most 4, for the corrections that the kernel reads from the step's verdict. They count
   * updates, of which a batch that is skipped is none.
   */
  readonly decays: readonly number[];
  /**
   * The numbers of step `step` (0 is the first; a batch that is skipped is a step too), which the kernel reads
   * from the step's scalars. At most 16.
   */
  scalars(step: number): readonly number[];
  /**
   * The one dispatch that updates `elementCount` elements, a range of a slab. It binds the verdict, and changes
   * nothing where that says so.
   */
  update<B>(bindings: UpdateBindings<B>, elementCount: number): Dispatch<B>;
}

/** Options that every optimiser has. */
export interface LearningRateOption {
  /** A number, or a function of the step's number, which begins at 0. */
  readonly learningRate: number | Schedule;
}

/** Every option of {@link LearningRateOption}. */
export const LEARNING_RATE_OPTION: OptionNames<LearningRateOption> = { learningRate: true };
