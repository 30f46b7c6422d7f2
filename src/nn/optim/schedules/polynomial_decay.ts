import { describedAs } from "../../../base/description.ts";
import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { requireRates, requireSteps, type Schedule, shareOf } from "./schedule.ts";

/** Options of {@link polynomialDecay}. */
export interface PolynomialDecayOptions {
  /** Default 1, which is a line. */
  readonly power?: number | undefined;
  /** The rate from `steps` on. Default 0. */
  readonly final?: number | undefined;
}

/** Every option of {@link PolynomialDecayOptions}. */
export const POLYNOMIAL_DECAY_OPTIONS: OptionNames<PolynomialDecayOptions> = { power: true, final: true };

/**
 * From `initial` to `final` in `steps` steps: `final + (initial - final) (1 - step / steps)^power`. With `final` 0,
 * PyTorch's `PolynomialLR`.
 */
export function polynomialDecay(
  initial: number,
  steps: number,
  options: PolynomialDecayOptions = {},
): Schedule {
  const { power = 1, final = 0 } = checkOptions(
    "polynomialDecay()",
    options,
    POLYNOMIAL_DECAY_OPTIONS,
    "{ power: 2 }",
  );
  requireSteps("polynomialDecay", steps);
  requireRates("polynomialDecay", { initial, final, power });
  return describedAs(
    (step: number) => final + (initial - final) * (1 - shareOf(step, steps)) ** power,
    { name: "polynomialDecay", initial, steps, power, final },
  );
}
