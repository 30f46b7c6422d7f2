import type { OptionNames } from "../../../base/options/options.ts";
import type { Initializer } from "../../initializers.ts";

/** Options of `lstm` and `gru`. */
export interface RecurrentOptions {
  /** Layers, each of which gets the outputs of the one before. Default 1. */
  readonly layers?: number | undefined;
  /** Whether a second set of weights goes through the sequence backwards; its outputs are put beside the others. */
  readonly bidirectional?: boolean | undefined;
  /** Whether there are biases, two for each gate. Default true. */
  readonly bias?: boolean | undefined;
  /** The share of elements that training leaves out at random between layers. Default 0. */
  readonly dropout?: number | undefined;
  /**
   * `"sequence"`: the output of every step, `[batch, time, hidden]`. `"last"`: that of the last one of each direction,
   * `[batch, hidden]`. Twice as wide when bidirectional. Default `"sequence"`.
   */
  readonly returns?: "sequence" | "last" | undefined;
  /** Of the weights of the input. Default: uniform within ± 1 / sqrt(hidden), as in PyTorch. */
  readonly weightInitializer?: Initializer | undefined;
  /** Of the weights of the state. Default: the same. */
  readonly recurrentInitializer?: Initializer | undefined;
  /** Of both biases. Default: the same. */
  readonly biasInitializer?: Initializer | undefined;
}

/** Every option of {@link RecurrentOptions}. */
export const RECURRENT_OPTIONS: OptionNames<RecurrentOptions> = {
  layers: true,
  bidirectional: true,
  bias: true,
  dropout: true,
  returns: true,
  weightInitializer: true,
  recurrentInitializer: true,
  biasInitializer: true,
};
