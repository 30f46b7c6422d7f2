import { describedAs } from "../../base/description.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { functionDescription } from "../function_description.ts";
import { countedLosses, type Loss, onlyTerm, requireTermName } from "./loss.ts";
import { maskedTerms } from "./masked_loss.ts";

/** Options of {@link combineLosses}. */
export interface CombineLossesOptions {
  /** What each loss is multiplied by in the sum; 1 unless given. */
  readonly factors?: Readonly<Record<string, number>> | undefined;
}

/** Every option of {@link CombineLossesOptions}. */
export const COMBINE_LOSSES_OPTIONS: OptionNames<CombineLossesOptions> = { factors: true };

/**
 * The sum of several losses of the same output and labels, each with its factor. Each is divided by its own weights,
 * and is in the history and the progress under its name, before the factor.
 *
 * @example
 * ```ts
 * const loss = nn.combineLosses({ pixels: nn.mse(), angle: nn.mse() }, { factors: { angle: 0.1 } });
 * ```
 *
 * @throws TypeError for no loss, a name that is taken, or a factor of a loss that is not there.
 */
export function combineLosses(
  losses: Readonly<Record<string, Loss>>,
  options: CombineLossesOptions = {},
): Loss {
  const { factors = {} } = checkOptions("combineLosses()", options, COMBINE_LOSSES_OPTIONS);
  const named = Object.entries(losses);
  for (const [name, loss] of named) {
    requireTermName(name);
    if (typeof loss !== "function") {
      throw new TypeError(`combineLosses: "${name}" is a loss, like nn.mse(), found ${typeof loss}`);
    }
  }
  const combined: Loss = (output, labels, weights) => {
    const [batchSize = 0] = output.shape;
    const terms = named.map(([name, loss]) => {
      // Each by itself: an example may be out of one loss and in another.
      const found = maskedTerms(output, (gate) => countedLosses(loss(gate, labels, weights), batchSize));
      return [name, { ...onlyTerm("combineLosses", name, found), isMasked: true }] as const;
    });
    return { terms: Object.fromEntries(terms), factors };
  };
  return describedAs(combined, {
    name: "combineLosses",
    factors: { name: "factors", ...factors },
    losses: {
      name: "losses",
      ...Object.fromEntries(named.map(([name, loss]) => [name, functionDescription(loss)])),
    },
  });
}
