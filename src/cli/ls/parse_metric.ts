import { directionOf, type RankedMetric } from "../../checkpoint/keep/retention/metric_direction.ts";
import { UsageError } from "../verb.ts";

/**
 * A metric's name, with `:min` or `:max` behind it where the name does not say which is better.
 *
 * @throws UsageError where neither says it.
 */
export function parseMetric(text: string): RankedMetric {
  const [, metric = text, given] = /^(.*):(min|max)$/.exec(text) ?? [];
  const direction = given === "min" || given === "max" ? given : directionOf(metric);
  if (direction !== undefined && metric !== "") return { metric, direction };
  throw new UsageError(
    `Whether a low or a high ${
      JSON.stringify(metric)
    } is better is not in its name; write ${metric}:max or ${metric}:min`,
  );
}
