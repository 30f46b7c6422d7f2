import { checkOptions, type OptionNames } from "../../../base/options/options.ts";

/** A metric, and whether a low or a high value of it is better. */
export interface RankedMetric {
  /** Its name, such as `val_loss`. */
  readonly metric: string;
  /** Required unless the name says it: `loss` and `error` are minimised, `accuracy` is maximised. */
  readonly direction?: "min" | "max";
}

/** Every option of {@link RankedMetric}. */
export const RANKED_METRIC: OptionNames<RankedMetric> = { metric: true, direction: true };

/** The direction that a metric's name says, or undefined. */
export function directionOf(metric: string): "min" | "max" | undefined {
  if (/(^|_)(loss|error)$/.test(metric)) return "min";
  return /(^|_)accuracy$/.test(metric) ? "max" : undefined;
}

/**
 * The metric with its direction.
 *
 * @throws RangeError when that was neither given nor is in the name.
 */
export function rankedMetric(value: string | RankedMetric): Required<RankedMetric> {
  if (typeof value === "object") {
    checkOptions("A metric to rank by", value, RANKED_METRIC, '{ metric: "f1", direction: "max" }');
  }
  const { metric, direction } = typeof value === "string" ? { metric: value } as RankedMetric : value;
  if (typeof metric !== "string" || metric === "") {
    throw new TypeError("A metric to rank by needs a name");
  }
  if (direction !== undefined && direction !== "min" && direction !== "max") {
    throw new RangeError(`"${metric}" is ranked by the direction "min" or "max", found ${String(direction)}`);
  }
  const known = direction ?? directionOf(metric);
  if (known === undefined) {
    throw new RangeError(
      `Whether a low or a high "${metric}" is better is not in its name; write { metric: "${metric}", direction: "max" }`,
    );
  }
  return { metric, direction: known };
}
