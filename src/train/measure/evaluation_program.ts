import { Executable } from "../../graph/executable.ts";
import { indexLimits } from "../../graph/index_limits.ts";
import { sizeOf } from "../../graph/value.ts";
import type { SetMetric } from "../../nn/metrics/metric.ts";
import type { Model } from "../../nn/model.ts";
import type { BatchSource } from "../../data/batch_source.ts";
import { labelsOf } from "./batch_loss.ts";
import { type CountedValue, outputName } from "./count_rows.ts";
import { type InputRanges, inputRanges } from "./index_check.ts";
import { countsOf, type MeasuredTerm, type Measures } from "./measures.ts";

/** A compiled evaluation of batches of one size. */
export interface EvaluationProgram {
  readonly executable: Executable;
  /** Its outputs. */
  readonly counted: readonly CountedValue[];
  readonly terms: readonly MeasuredTerm[];
  readonly ranges: InputRanges;
}

/** Compiles what `loss` and `metrics` count of batches of `size` examples. */
export async function evaluationProgram(
  model: Model,
  source: BatchSource,
  size: number,
  { loss, weights = (name) => model.rangeOf(name) }: Pick<Measures, "loss" | "weights">,
  metrics: ReadonlyMap<string, SetMetric>,
): Promise<EvaluationProgram> {
  const trace = model.trace(size, false);
  const labels = labelsOf(source, size);
  const { terms, counted } = countsOf(loss, metrics, trace.output, labels);
  const values = [...counted].flatMap(([metric, parts]) =>
    Object.entries(parts).map(([part, value]) => ({ metric, part, value }))
  );
  const outputs = Object.fromEntries(
    values.map(({ metric, part, value }) => [outputName(metric, part), value]),
  );
  const executable = await Executable.compile(
    model.store.gpu,
    { inputs: [trace.input, labels], outputs, parameters: weights },
    { variants: model.store.variants, label: "evaluation" },
  );
  return {
    executable,
    counted: values.map(({ metric, part, value }) => {
      return { metric, part, dtype: value.dtype, length: sizeOf(value) };
    }),
    terms,
    ranges: inputRanges(indexLimits(Object.values(outputs)), terms.map((term) => term.labels)),
  };
}
