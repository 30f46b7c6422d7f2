import { Executable } from "../../graph/executable.ts";
import { indexLimits } from "../../graph/index_limits.ts";
import { sizeOf } from "../../graph/value.ts";
import { valueParts } from "../../graph/values.ts";
import type { Model } from "../../nn/model.ts";
import { CairnError } from "../../base/errors.ts";
import { partText } from "../../base/parts/named.ts";
import { requireSameParts, specParts } from "../../data/batch_parts.ts";
import type { BatchSource } from "../../data/batch_source.ts";
import { formatShape, shapesEqual } from "../../tensor/shape.ts";
import { labelsOf } from "./batch_loss.ts";
import { type CountedValue, outputName } from "./count_rows.ts";
import { type InputRanges, inputRanges } from "./index_check.ts";
import { type AnySetMetric, countsOf, type MeasuredTerm, type Measures } from "./measures.ts";

/** A compiled evaluation of batches of one size. */
export interface EvaluationProgram {
  readonly executable: Executable;
  /** Its outputs. */
  readonly counted: readonly CountedValue[];
  readonly terms: readonly MeasuredTerm[];
  readonly ranges: InputRanges;
}

/** CairnError unless the inputs of `source` are examples that the model takes. */
function requireInputs(model: Model, source: BatchSource): void {
  const expected = specParts("inputs", model.input);
  const found = specParts("inputs", source.inputs);
  requireSameParts("The data to evaluate on", expected, Object.keys(found));
  for (const [part, { dtype, shape }] of Object.entries(found)) {
    const wanted = expected[part];
    if (wanted === undefined || (wanted.dtype === dtype && shapesEqual(wanted.shape, shape))) continue;
    throw new CairnError(
      wanted.dtype === dtype ? "shape_mismatch" : "dtype_mismatch",
      `The data to evaluate on has ${dtype} ${formatShape(shape)} for an example of ${
        partText(part)
      }, and the ` +
        `model takes ${wanted.dtype} ${
          formatShape(wanted.shape)
        }; give data of the same shapes as in training`,
    );
  }
}

/** Compiles what `loss` and `metrics` count of batches of `size` examples. */
export async function evaluationProgram(
  model: Model,
  source: BatchSource,
  size: number,
  { loss, weights = (name) => model.rangeOf(name) }: Pick<Measures, "loss" | "weights">,
  metrics: ReadonlyMap<string, AnySetMetric>,
): Promise<EvaluationProgram> {
  requireInputs(model, source);
  const trace = model.trace(size, false);
  const labels = labelsOf(source, size);
  const inputs = { ...valueParts("inputs", trace.input), ...valueParts("labels", labels) };
  const { terms, counted } = countsOf(loss, metrics, trace.output, labels);
  const values = [...counted].flatMap(([metric, parts]) =>
    Object.entries(parts).map(([part, value]) => ({ metric, part, value }))
  );
  const outputs = Object.fromEntries(
    values.map(({ metric, part, value }) => [outputName(metric, part), value]),
  );
  const executable = await Executable.compile(
    model.store.gpu,
    { inputs: Object.values(inputs), outputs, parameters: weights },
    { variants: model.store.variants, label: "evaluation" },
  );
  return {
    executable,
    counted: values.map(({ metric, part, value }) => {
      return { metric, part, dtype: value.dtype, length: sizeOf(value) };
    }),
    terms,
    ranges: inputRanges(
      indexLimits(Object.values(outputs)),
      terms.map((term) => term.labels),
      Object.keys(inputs),
    ),
  };
}
