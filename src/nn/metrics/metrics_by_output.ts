import type { Value } from "../../graph/value.ts";
import { placed, valueOf } from "../losses/loss_by_output.ts";
import { isSetMetric, type Metric, type SetMetric } from "./metric.ts";

/** Several values by the names of outputs. */
type ByName<Name extends string> = Readonly<Record<Name, Value>>;

/**
 * Metrics of a model with several outputs: each of them looks at the output and the labels of its name, and is called
 * `output_metric`.
 *
 * @example
 * ```ts
 * const metrics = nn.metricsByOutput({ digit: { accuracy: nn.accuracy() }, angle: { error: nn.mae() } });
 * console.log(Object.keys(metrics)); // [ "digit_accuracy", "angle_error" ]
 * ```
 */
export function metricsByOutput<Name extends string>(
  metrics: Readonly<Record<Name, Readonly<Record<string, Metric>>>>,
): Record<string, Metric<ByName<Name>, ByName<Name>>> {
  return Object.fromEntries(
    Object.entries<Readonly<Record<string, Metric>>>(metrics).flatMap(([output, ofOutput]) =>
      Object.entries(ofOutput).map(([name, metric]) => [`${output}_${name}`, metricOf(output, name, metric)])
    ),
  );
}

/** A metric of the values called `name`. */
function metricOf<Name extends string>(
  output: string,
  name: string,
  metric: Metric,
): Metric<ByName<Name>, ByName<Name>> {
  const what = `The metric "${name}" of the output "${output}"`;
  const of = <T>(outputs: ByName<Name>, labels: ByName<Name>, work: (a: Value, b: Value) => T): T => {
    const own = valueOf(what, "output", outputs, output);
    const expected = valueOf(what, "labels", labels, output);
    return placed(what, own, expected, () => work(own, expected));
  };
  if (!isSetMetric(metric)) return (outputs, labels) => of(outputs, labels, (a, b) => metric(a, b));
  const ofSet: SetMetric<string, ByName<Name>, ByName<Name>> = {
    ...metric,
    count: (outputs, labels) => of(outputs, labels, (a, b) => metric.count(a, b)),
    result: (totals) => metric.result(totals),
  };
  return ofSet;
}
