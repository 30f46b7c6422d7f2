import { describedAs } from "../../base/description.ts";
import { kindOf } from "../../base/options/kind_of.ts";
import { checkOptions } from "../../base/options/options.ts";
import { formatShape } from "../../tensor/shape.ts";
import type { Value } from "../../graph/value.ts";
import { isValue, type Values } from "../../graph/values.ts";
import { functionDescription } from "../function_description.ts";
import { COMBINE_LOSSES_OPTIONS, type CombineLossesOptions } from "./combine_losses.ts";
import { countedLosses, type Loss, onlyTerm, requireTermName } from "./loss.ts";
import { maskedTerms } from "./masked_loss.ts";

/**
 * The loss of a model with several outputs: each of `losses` looks at the output and the labels of its name. Each is
 * divided by its own weights, and is in the history and the progress under its name, before its factor. An output that
 * has no loss is only predicted.
 *
 * @example
 * ```ts
 * const loss = nn.lossByOutput({ digit: nn.crossEntropy(), angle: nn.mse() }, { factors: { angle: 0.1 } });
 * ```
 *
 * @throws TypeError for no loss, or a factor of one that is not there; where it is traced, for an output or labels that
 * there are not, and for shapes that do not fit, with both.
 */
export function lossByOutput<Name extends string>(
  losses: Readonly<Record<Name, Loss>>,
  options: CombineLossesOptions = {},
): Loss<Readonly<Record<Name, Value>>, Readonly<Record<Name, Value>>> {
  const { factors = {} } = checkOptions("lossByOutput()", options, COMBINE_LOSSES_OPTIONS);
  const named = Object.entries<Loss>(losses);
  for (const [name, loss] of named) {
    requireTermName(name);
    if (typeof loss !== "function") {
      throw new TypeError(`lossByOutput: "${name}" is a loss, like nn.mse(), found ${kindOf(loss)}`);
    }
  }
  const combined: Loss<Readonly<Record<Name, Value>>, Readonly<Record<Name, Value>>> = (
    outputs,
    labels,
    weights,
  ) => {
    const terms = named.map(([name, loss]) => {
      const what = `The loss of the output "${name}"`;
      const output = valueOf(what, "output", outputs, name);
      const expected = valueOf(what, "labels", labels, name);
      const found = placed(
        what,
        output,
        expected,
        () =>
          // Each by itself: an example may be out of one loss and in another.
          maskedTerms(output, (gate) =>
            countedLosses(loss(gate, expected, weights), output.shape[0] ?? 0, what)),
      );
      return [name, { ...onlyTerm("lossByOutput", name, found), isMasked: true }] as const;
    });
    return { terms: Object.fromEntries(terms), factors };
  };
  return describedAs(combined, {
    name: "lossByOutput",
    factors: { name: "factors", ...factors },
    losses: {
      name: "losses",
      ...Object.fromEntries(named.map(([name, loss]) => [name, functionDescription(loss)])),
    },
  });
}

/**
 * The value called `name` of a model's outputs, or of its labels.
 *
 * @param what What asks for it, for messages.
 */
export function valueOf(what: string, of: "output" | "labels", values: Values, name: string): Value {
  const several: Readonly<Record<string, Value>> = isValue(values) ? {} : values;
  const found = several[name];
  if (found !== undefined) return found;
  const [subject, verb] = of === "output" ? ["the model", "gives"] : ["the data", "has labels for"];
  const names = Object.keys(several).map((each) => `"${each}"`).join(", ");
  throw new TypeError(
    `${what} needs the ${of} of that name, and ${subject} ${verb} ${
      isValue(values) ? "one without a name" : names
    }; give several by name`,
  );
}

/** What `work` throws for shapes, with what it is about: the output's name, and the shapes of both. */
export function placed<T>(what: string, output: Value, labels: Value, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const both = [output, labels].map(({ dtype, shape }) => `${dtype} ${formatShape(shape)}`).join(" and ");
    throw new TypeError(`${what} cannot compare ${both}: ${error.message}`, { cause: error });
  }
}
