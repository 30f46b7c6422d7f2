import type { NamePattern } from "../../base/name_pattern.ts";
import type { OptionNames } from "../../base/options/options.ts";
import type { Schedule } from "./schedules/schedule.ts";

/** Options that every optimiser has. */
export interface OptimizerOptions {
  /** A number, or a function of the step's number, which begins at 0. */
  readonly learningRate?: number | Schedule | undefined;
  /** How much parameters shrink by themselves; each optimiser says how. */
  readonly weightDecay?: number | undefined;
  /**
   * Whether parameters with fewer than two axes decay too: biases, and weights of norms. Default true, as in PyTorch.
   */
  readonly decayBiasesAndNorms?: boolean | undefined;
  /**
   * Parameters with a rate or a decay of their own, or none of either. Each belongs to the first group that matches
   * it.
   */
  readonly groups?: readonly ParameterGroup[] | undefined;
}

/** Every option of {@link OptimizerOptions}. */
export const OPTIMIZER_OPTIONS: OptionNames<OptimizerOptions> = {
  learningRate: true,
  weightDecay: true,
  decayBiasesAndNorms: true,
  groups: true,
};

/** Parameters that are treated alike. What it does not say is as for all others. */
export interface ParameterGroup {
  /** Which, by their names in the model: `"0.weight"`, `"encoder.*"`, an expression, or a list of these. */
  readonly parameters: NamePattern | readonly NamePattern[];
  /** A number, or a function of the step's number. */
  readonly learningRate?: number | Schedule | undefined;
  /** How much they shrink by themselves; each optimiser says how. */
  readonly weightDecay?: number | undefined;
  /**
   * Whether they keep their bits. There is then no gradient of them, and no tensor of the optimiser. Default false.
   */
  readonly frozen?: boolean | undefined;
}

/** Every option of {@link ParameterGroup}. */
export const PARAMETER_GROUP: OptionNames<ParameterGroup> = {
  parameters: true,
  learningRate: true,
  weightDecay: true,
  frozen: true,
};
