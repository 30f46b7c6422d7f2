import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { mul, sub } from "../../graph/ops/arithmetic.ts";
import { abs, minimum } from "../../graph/ops/piecewise.ts";
import { optionDescription } from "./describe_options.ts";
import { differenceLoss } from "./element_loss.ts";
import type { ExampleLoss } from "./loss.ts";

/** Options of {@link huber}. */
export interface HuberOptions {
  /** The error from which on the loss grows with it and no longer with its square. Default 1. */
  readonly delta?: number | undefined;
}

/** Every option of {@link HuberOptions}. */
export const HUBER_OPTIONS: OptionNames<HuberOptions> = { delta: true };

/**
 * The mean over an example of `d² / 2` for errors `d` up to `delta`, and of `delta (|d| - delta / 2)` beyond (Huber
 * 1964), as PyTorch's `HuberLoss`. Output and labels are f32 of one shape `[batch, …]`.
 *
 * @throws RangeError for a `delta` that is no number above 0.
 */
export function huber(options: HuberOptions = {}): ExampleLoss {
  const { delta = 1 } = checkOptions("huber()", options, HUBER_OPTIONS, "{ delta: 0.5 }");
  if (!(Number.isFinite(delta) && delta > 0)) {
    throw new RangeError(`huber: delta is a number above 0, found ${delta}`);
  }
  return differenceLoss(optionDescription("huber", options, { delta: 1 }), (difference) => {
    const size = abs(difference);
    const inside = minimum(size, delta);
    return mul(inside, sub(size, mul(inside, 0.5)));
  });
}
