import type { BufferRange } from "../../gpu/buffer_range.ts";
import type { Update } from "../../graph/program.ts";
import type { Shape } from "../../tensor/shape.ts";

/** A parameter of a model, as far as an optimiser wants to know. */
export interface UpdatedParameter {
  /** In the model, such as `0.weight`. */
  readonly name: string;
  /** Sizes of its dimensions, outermost first. */
  readonly shape: Shape;
}

/** What one update binds; all tensors lie alike. */
export interface UpdateBindings {
  /** Read and written. */
  readonly parameter: BufferRange;
  /** Read. */
  readonly gradient: BufferRange;
  /** One a slot, in the order of {@link UpdateRule.slots}. Read and written. */
  readonly slots: readonly BufferRange[];
  /** The uniform with the step's scalars. */
  readonly scalars: "scalars";
  /**
   * The uniform with the step's verdict: `applies`, which is 0 where nothing may be changed, and `corrections`,
   * `1 - decay^updates` for each of {@link Optimizer.decays}.
   */
  readonly verdict: BufferRange;
}

/** What one update is of. */
export interface UpdatedElements {
  /** With the padding behind each tensor, which is zeros: a multiple of 64. */
  readonly count: number;
  /** In the order in which they lie; one for a rule over tensors. */
  readonly parameters: readonly UpdatedParameter[];
}

/**
 * How some of a model's parameters follow from their gradients. Its tensors (`slots`) are in the store and begin as
 * zeros.
 */
export interface UpdateRule {
  /**
   * Names of the tensors that it keeps for each parameter: in the groups `optimizer.<slot>` of the store. A slot called
   * `average` is what the model is evaluated and exported with, once there was an update.
   */
  readonly slots: readonly string[];
  /**
   * Whether an update is of all neighbours in a slab, or of each tensor by itself. Of a tensor that is larger than a
   * binding there are several updates over ranges, and none of the tensor.
   */
  readonly over: "ranges" | "tensors";
  /**
   * What updates the elements, in its order. Each dispatch binds the verdict, and changes
   * nothing where that says so.
   */
  update(bindings: UpdateBindings, elements: UpdatedElements): readonly Update[];
}

/** How the parameters of a model follow from their gradients. */
export interface Optimizer {
  /** Such as `"adamw"`. Resuming with another one is an error. */
  readonly name: string;
  /**
   * Decays of running means, at most 4, for the corrections that kernels read from the step's verdict. They count
   * updates, of which a batch that is skipped is none.
   */
  readonly decays: readonly number[];
  /**
   * The numbers of step `step` (0 is the first; a batch that is skipped is a step too), which kernels read
   * from the step's scalars. At most 16.
   *
   * @param scaleOf By what each learning rate is multiplied, at each step. Another function wherever it says something
   * else of a step than before. Default: 1.
   */
  scalars(step: number, scaleOf?: (step: number) => number): readonly number[];
  /** The learning rate of step `step`, of the parameters that are in no group: for people and logs. */
  learningRate?(step: number): number;
  /**
   * A rule for each parameter, `undefined` for one that is frozen. Parameters with the same rule lie together, so
   * that an update is one call for each slab of them.
   *
   * @throws TypeError for options that do not fit the parameters.
   */
  rulesFor(parameters: readonly UpdatedParameter[]): readonly (UpdateRule | undefined)[];
}
