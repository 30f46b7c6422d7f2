import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { ADAM_OPTIONS, adamOptimizer, type AdamOptions } from "./adam.ts";
import type { Optimizer } from "./optimizer.ts";

/**
 * Options of {@link adamw}. Default rate 1e-3, default decay 0.01: the parameter shrinks by `learningRate *
 * weightDecay`.
 */
export interface AdamWOptions extends AdamOptions {}

/** Every option of {@link AdamWOptions}. */
export const ADAMW_OPTIONS: OptionNames<AdamWOptions> = { ...ADAM_OPTIONS };

/** Adam with decoupled weight decay (Loshchilov and Hutter 2019), as in PyTorch. */
export function adamw(options: AdamWOptions = {}): Optimizer {
  checkOptions("adamw()", options, ADAMW_OPTIONS, "{ learningRate: 1e-3 }");
  return adamOptimizer("adamw", options, "decoupled", 0.01);
}
