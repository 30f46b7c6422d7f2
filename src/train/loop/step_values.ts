import { flowingGradients } from "../../graph/autodiff.ts";
import { mean } from "../../graph/ops/reduce.ts";
import { input } from "../../graph/ops/sources.ts";
import type { Value } from "../../graph/value.ts";
import { requireValue } from "../../nn/layer.ts";
import type { Loss } from "../../nn/losses/loss.ts";
import type { Model } from "../../nn/model.ts";
import { formatShape } from "../../tensor/shape.ts";
import type { BatchSource } from "../../data/batch_source.ts";

/** What the values of a step are made of. */
export interface StepDefinition {
  readonly model: Model;
  readonly loss: Loss;
  readonly data: BatchSource;
}

/** The graph of one step: the mean loss of a batch, and what follows from it for the parameters. */
export interface StepValues {
  /** Named "inputs" and "labels". */
  readonly inputs: readonly Value[];
  readonly loss: Value;
  /** Of every parameter that the loss reaches, by its name in the model. */
  readonly gradients: ReadonlyMap<string, Value>;
  /** Names of those that it does not reach: nothing may change them. */
  readonly unreached: readonly string[];
}

/**
 * Traces a step.
 *
 * @throws what the model or the loss throws for a shape that does not fit; TypeError when the loss is not one f32 an
 * example, or reaches no parameter, so that nothing would ever be trained.
 */
export function stepValues({ model, loss: lossOf, data }: StepDefinition): StepValues {
  const trace = model.trace(data.batchSize, true);
  const labels = labelsOf(data);
  const loss = mean(requirePerExample("The loss", lossOf(trace.output, labels), data.batchSize));
  const found = flowingGradients(loss, trace.parameters.map(({ value }) => value));
  const gradients = new Map<string, Value>();
  const unreached: string[] = [];
  trace.parameters.forEach(({ name }, index) => {
    const gradient = found[index];
    if (gradient === undefined) unreached.push(name);
    else gradients.set(name, gradient);
  });
  if (gradients.size === 0) {
    throw new TypeError(
      `The loss reaches no parameter of the model, so that nothing would be trained (${
        quoted(unreached)
      }); ` +
        "compute it from the model's output, without stopGradient on the whole way",
    );
  }
  return { inputs: [trace.input, labels], loss, gradients, unreached };
}

/** The labels of a batch as a graph value, named "labels". */
export function labelsOf(source: BatchSource): Value {
  return input("labels", source.labels.dtype, [source.batchSize, ...source.labels.shape]);
}

/** `value`, or a `TypeError` unless it is one f32 for each of `batchSize` examples. */
export function requirePerExample(what: string, value: Value, batchSize: number): Value {
  requireValue(what, value);
  if (value.dtype === "f32" && value.shape.length === 1 && value.shape[0] === batchSize) return value;
  throw new TypeError(
    `${what} gives ${value.dtype} of shape ${formatShape(value.shape)}, expected one f32 for each example ` +
      `of the batch, shape [${batchSize}]; leave the mean over the batch to the trainer`,
  );
}

/** What to tell of parameters that no gradient reaches; undefined where there are none. */
export function unreachedWarning(unreached: readonly string[]): string | undefined {
  if (unreached.length === 0) return undefined;
  const [subject, verb] = unreached.length === 1
    ? ["the parameter", "it stays as it is"]
    : ["the parameters", "they stay as they are"];
  return `The loss does not reach ${subject} ${quoted(unreached)}: ${verb}, weight decay included`;
}

const SHOWN_NAMES = 8;

function quoted(names: readonly string[]): string {
  const shown = names.slice(0, SHOWN_NAMES).map((name) => `"${name}"`).join(", ");
  return names.length <= SHOWN_NAMES ? shown : `${shown} and ${names.length - SHOWN_NAMES} more`;
}
