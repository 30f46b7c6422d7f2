import type { BufferRange } from "../../gpu/buffer_range.ts";
import { constant } from "../../graph/ops/sources.ts";
import type { Value } from "../../graph/value.ts";
import type { Values } from "../../graph/values.ts";
import { requireValue } from "../../nn/layer.ts";
import type { LabelRange, Loss } from "../../nn/losses/loss.ts";
import { isSetMetric, type Metric, type SetMetric } from "../../nn/metrics/metric.ts";
import { type BatchTerm, batchTerms, examplesOf, sumOfValues, sumOfWeights } from "./batch_loss.ts";

/** A loss of one output or several, and of one label or several. */
export type AnyLoss = Loss<Values, Values>;

/** Metrics of these, by their names. */
export type AnyMetrics = Readonly<Record<string, Metric<Values, Values>>>;

/** A metric of a set as all are once they are {@link setMetrics}. */
export type AnySetMetric = SetMetric<string, Values, Values>;

/** What is measured of a model. */
export interface Measures {
  readonly loss: AnyLoss;
  readonly metrics: AnyMetrics;
  /** Where the weights are that are measured, by their names in the model. Default: where the model has them. */
  readonly weights?: ((name: string) => BufferRange) | undefined;
}

/** A term of a loss, as far as its sums do not say it. */
export interface MeasuredTerm {
  readonly name: string | undefined;
  readonly factor: number;
  readonly labels: LabelRange | undefined;
}

/** What is counted of a batch, on the GPU. */
export interface BatchCounts {
  readonly terms: readonly MeasuredTerm[];
  /** By the name of the metric and that of the part; those of the loss are under `loss`. */
  readonly counted: ReadonlyMap<string, Readonly<Record<string, Value>>>;
}

/** The metrics of a set, with those that are means over its examples. */
export function setMetrics(metrics: AnyMetrics): Map<string, AnySetMetric> {
  return new Map(
    Object.entries(metrics).map(([name, metric]) => [
      name,
      isSetMetric(metric) ? checked(name, metric) : meanMetric(name, metric),
    ]),
  );
}

/** Traces what is counted of a batch. TypeError for an invalid loss or metric of it. */
export function countsOf(
  loss: AnyLoss,
  metrics: ReadonlyMap<string, AnySetMetric>,
  output: Values,
  labels: Values,
): BatchCounts {
  const terms = batchTerms(loss, output, labels, examplesOf(labels));
  const ofLoss = terms.flatMap((term, index) => Object.entries(sumsOf(term, String(index))));
  const counted = new Map([["loss", Object.fromEntries(ofLoss)]]);
  for (const [name, metric] of metrics) {
    const parts = Object.entries(metric.count(output, labels));
    counted.set(name, Object.fromEntries(parts.map(([part, value]) => [part, countable(name, part, value)])));
  }
  return { terms, counted };
}

/** What the sums of the loss say: the sum over its terms, and each of them. */
export function lossOf(
  terms: readonly MeasuredTerm[],
  totals: Readonly<Record<string, Float64Array>>,
): { loss: number; terms: Record<string, number> } {
  let loss = 0;
  const named: Record<string, number> = {};
  terms.forEach(({ name, factor }, index) => {
    const mean = meanOf(totals, String(index));
    loss += factor * mean;
    if (name !== undefined) named[name] = mean;
  });
  return { loss, terms: named };
}

/** The sums of values and weights of a batch. */
function sumsOf(term: BatchTerm, suffix: string): Record<string, Value> {
  const weight = sumOfWeights(term);
  return {
    [`value${suffix}`]: sumOfValues(term),
    [`weight${suffix}`]: typeof weight === "number" ? constant(weight, "u32") : weight,
  };
}

function meanOf(totals: Readonly<Record<string, Float64Array>>, suffix: string): number {
  return (totals[`value${suffix}`]?.[0] ?? NaN) / (totals[`weight${suffix}`]?.[0] ?? NaN);
}

function meanMetric(name: string, metric: AnyLoss): AnySetMetric {
  return {
    count(output, labels) {
      const [term, ...others] = batchTerms(
        metric,
        output,
        labels,
        examplesOf(labels),
        `The metric "${name}"`,
      );
      if (term !== undefined && others.length === 0) return sumsOf(term, "");
      throw new TypeError(`The metric "${name}" has several terms; give each as a metric of its own`);
    },
    result: (totals) => meanOf(totals, ""),
  };
}

function checked(name: string, metric: AnySetMetric): AnySetMetric {
  const found: Partial<AnySetMetric> | null = metric;
  if (typeof found?.count === "function" && typeof found.result === "function") return metric;
  throw new TypeError(
    `The metric "${name}" is a function of output and labels, or { count, result }, found ${
      found === null ? "null" : typeof found
    }; was it not called, as in nn.accuracy()?`,
  );
}

function countable(name: string, part: string, value: Value): Value {
  const what = `"${part}" of the metric "${name}"`;
  requireValue(what, value);
  if (["f32", "u32", "i32"].includes(value.dtype)) return value;
  throw new TypeError(`${what} is ${value.dtype}, expected f32, u32 or i32; convert it with cast()`);
}
