import type { BufferRange } from "../../gpu/buffer_range.ts";
import { flowingGradients } from "../../graph/autodiff.ts";
import type { Value } from "../../graph/value.ts";
import type { LabelRange, Loss } from "../../nn/losses/loss.ts";
import { penaltyOf, type Regularizer } from "../../nn/losses/regularizers.ts";
import type { Model, ModelTrace } from "../../nn/model.ts";
import type { Parts } from "../../base/parts/named.ts";
import { valueParts, type Values } from "../../graph/values.ts";
import type { BatchSpec } from "../../data/batch_source.ts";
import {
  batchTerms,
  examplesOf,
  labelsOf,
  meanOfTerm,
  sumOfWeights,
  weightedSum,
} from "../measure/batch_loss.ts";
import type { AnyLoss } from "../measure/measures.ts";
import type { WholeBatch } from "./batch_pieces.ts";
import type { ClipGradientsOptions } from "./clip_gradients.ts";
import { GRADIENT_NORM, type KeptTerms, keptTerms } from "./kept_terms.ts";
import { lossScaling } from "./loss_scale.ts";
import type { ParameterRules } from "./parameter_rules.ts";
import { type Precision, withPrecision } from "./precision.ts";
import type { StepScalars } from "../../kernels/step_scalars.ts";

/** What is trained on: what the examples cost, and what the parameters do. */
export interface Objective {
  /** Of one output or several, and of one label or several: which is known once it is traced. */
  readonly loss: Loss<never, never>;
  /** By name. */
  readonly regularizers?: Readonly<Record<string, Regularizer>> | undefined;
  /** What is done to gradients that are large. */
  readonly clipGradients?: ClipGradientsOptions | undefined;
}

/** What the values of a step are made of. */
export interface StepDefinition extends Objective {
  readonly model: Model;
  readonly data: BatchSpec;
  /** Which parameters are trained: there is no gradient of the others. */
  readonly rules: Pick<ParameterRules, "of">;
  /** Examples of the batch. Default: those of the data's batches. */
  readonly size?: number | undefined;
  /** Where the examples are a piece of a batch. */
  readonly whole?: WholeBatch | undefined;
  /** In what activations are, and the factors of products. Default: f32. */
  readonly precision?: Precision | undefined;
}

/** The loss of a batch, in training. */
export interface StepLoss {
  /** What is trained on, f32 `[]`: the sum of the terms' means and of the regularisers. */
  readonly loss: Value;
  /** Other numbers of the step, f32 `[]`, by the name that they have in the history. */
  readonly kept: ReadonlyMap<string, Value>;
  readonly keptTerms: KeptTerms;
  /** What each term of the loss declares of the labels. */
  readonly labelRanges: readonly (LabelRange | undefined)[];
}

/** The graph of one step: the mean loss of a batch, and what follows from it for the parameters. */
export interface StepValues extends StepLoss {
  /** Named "inputs" and "labels", or "inputs.image" of several. */
  readonly inputs: readonly Value[];
  /** Of every parameter that the loss reaches, by its name in the model. */
  readonly gradients: ReadonlyMap<string, Value>;
  /** Names of those that it does not reach, frozen ones aside: nothing may change them. */
  readonly unreached: readonly string[];
  /** What buffers of the model become, by their names in it. */
  readonly bufferUpdates: ReadonlyMap<string, Value>;
}

/** A step on a batch, or on a piece of one: its values, and what they are computed from. */
export interface StepPart {
  readonly values: StepValues;
  readonly batch: Parts<ArrayBufferView>;
  readonly scalars: StepScalars;
  /** Where the parameter `name` of the values is. */
  readonly parameters: (name: string) => BufferRange;
}

/**
 * Traces a step.
 *
 * @throws what the model or the loss throws for a shape that does not fit; TypeError when the loss is not one f32 an
 * example, or reaches no parameter, so that nothing would ever be trained.
 */
export function stepValues(
  { model, data, rules, size = data.batchSize, whole, precision = "f32", ...objective }: StepDefinition,
): StepValues {
  const trace = model.trace(size, true);
  const labels = labelsOf(data, size);
  const stepLoss = lossOfStep(objective, trace, labels, whole);
  const trained = trace.parameters.filter(({ name }) => rules.of(name) !== undefined);
  const scaling = precision === "f16" ? lossScaling() : undefined;
  const loss = scaling?.scaled(stepLoss.loss) ?? stepLoss.loss;
  const found = flowingGradients(loss, trained.map(({ value }) => value));
  const gradients = new Map<string, Value>();
  const unreached: string[] = [];
  trained.forEach(({ name }, index) => {
    const gradient = found[index];
    if (gradient === undefined) unreached.push(name);
    else gradients.set(name, scaling?.unscaled(gradient) ?? gradient);
  });
  if (gradients.size === 0) {
    throw new TypeError(
      `The loss reaches no parameter of the model, so that nothing would be trained (${
        quoted(unreached)
      }); ` +
        "compute it from the model's output, without stopGradient on the whole way",
    );
  }
  const { bufferUpdates } = trace;
  const inputs = batchValues(trace.input, labels);
  const values = { inputs, ...stepLoss, gradients, unreached, bufferUpdates };
  return withPrecision(values, Object.values(valueParts("output", trace.output)), precision);
}

/** The inputs of a program over a batch. */
export function batchValues(inputs: Values, labels: Values): Value[] {
  return [...Object.values(valueParts("inputs", inputs)), ...Object.values(valueParts("labels", labels))];
}

/** What of a step is computed on the way to its numbers: the rest is of gradients. */
export function forwardOf({ loss, kept }: StepLoss): Value[] {
  return [loss, ...kept.values()];
}

/** The loss of a batch whose output is that of `trace`. TypeError when it is not one f32 an example. */
export function lossOfStep(
  { loss, regularizers = {}, clipGradients }: Objective,
  { output, parameters }: Pick<ModelTrace, "output" | "parameters">,
  labels: Values,
  whole?: WholeBatch,
): StepLoss {
  const terms = batchTerms(loss as AnyLoss, output, labels, examplesOf(labels));
  const means = terms.map((term, index) => {
    return { mean: whole?.shareOf(term, index) ?? meanOfTerm(term), factor: term.factor };
  });
  const penalties = Object.entries(regularizers).map(([name, regularizer]) => {
    const penalty = penaltyOf(name, regularizer, parameters);
    return [name, whole?.shareOfPenalty(penalty) ?? penalty] as const;
  });
  const total = weightedSum([...means, ...penalties.map(([, mean]) => ({ mean, factor: 1 }))]);
  const others = clipGradients?.norm === undefined ? [] : [GRADIENT_NORM];
  const names = keptTerms(terms, Object.keys(regularizers), others);
  const kept = new Map<string, Value>();
  terms.forEach((term, index) => {
    const [{ name, weights } = {}, mean] = [names.terms[index], means[index]?.mean];
    if (name !== undefined && mean !== undefined) kept.set(name, mean);
    const weight = sumOfWeights(term);
    if (weights !== undefined && typeof weight !== "number") kept.set(weights, weight);
  });
  for (const [name, penalty] of penalties) kept.set(name, penalty);
  return { loss: total, kept, keptTerms: names, labelRanges: terms.map((term) => term.labels) };
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
