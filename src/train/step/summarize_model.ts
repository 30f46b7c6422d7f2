import { byteSizeOf, type DType } from "../../base/dtype.ts";
import { type Printable, printable, shortNumber, textTable } from "../../base/printable.ts";
import { layerOf } from "../../graph/create_value.ts";
import { flopsOf } from "../../graph/flops.ts";
import { reachable } from "../../graph/value.ts";
import type { LayerCall } from "../../nn/layer_call.ts";
import type { Model } from "../../nn/model.ts";
import { elementCount, formatShape, type Shape } from "../../tensor/shape.ts";
import type { ParameterRules } from "./parameter_rules.ts";
import type { StepValues } from "./step_values.ts";

/** One layer of a model. */
export interface LayerSummary {
  /** Dotted path, which its parameters' names begin with; empty for the whole model. */
  readonly path: string;
  /** How it was made, such as `linear(784, 128)`. */
  readonly layer: string;
  /** What it gives for a batch. */
  readonly outputShape: Shape;
  /** The dtype of that. */
  readonly outputDType: DType;
  /** How often it is called. */
  readonly calls: number;
  /** Elements of its own parameters, those of layers inside of it left out. */
  readonly parameters: number;
  /** Bytes of these. */
  readonly bytes: number;
  /** Elements of its own buffers, such as running statistics, which are kept and not trained. */
  readonly buffers: number;
  /** About how many floating-point operations of a step are its own, forward and backward. */
  readonly flops: number;
}

/** A model, layer by layer. */
export interface ModelSummary {
  /** Examples of the batch that shapes and operations are of. */
  readonly batchSize: number;
  /** In the order of their first calls; a layer stands before those inside of it. */
  readonly layers: readonly LayerSummary[];
  /** Elements of all parameters. */
  readonly parameters: number;
  /** Of those, what is not frozen. */
  readonly trainedParameters: number;
  /** Bytes of all parameters. */
  readonly bytes: number;
  /** Elements of all buffers. */
  readonly buffers: number;
  /** Bytes of these. */
  readonly bufferBytes: number;
  /**
   * About how many floating-point operations a step takes, forward and backward, with the loss; what the optimiser does
   * is left out.
   */
  readonly flops: number;
}

/** What {@link summarizeModel} looks at. */
export interface SummarizedModel {
  readonly model: Model;
  readonly rules: Pick<ParameterRules, "of">;
  readonly values: StepValues;
  readonly calls: readonly LayerCall[];
  readonly batchSize: number;
}

/** Takes a traced step apart into the layers of its model. */
export function summarizeModel(summarized: SummarizedModel): Printable<ModelSummary> {
  const { model, rules, values, batchSize } = summarized;
  const layers = layersOf(summarized.calls);
  const paths = layers.map(({ path }) => path);
  const own = new Map<string, { parameters: number; bytes: number; buffers: number; flops: number }>();
  const at = (path: string) => {
    const found = own.get(path) ?? { parameters: 0, bytes: 0, buffers: 0, flops: 0 };
    own.set(path, found);
    return found;
  };
  for (const { name } of model.parameters) {
    const { shape, dtype } = model.tensorOf(name);
    const count = elementCount(shape);
    const layer = at(ownerOf(name, paths));
    layer.parameters += count;
    layer.bytes += count * byteSizeOf(dtype);
  }
  for (const { name, shape } of model.buffers) at(ownerOf(name, paths)).buffers += elementCount(shape);
  let flops = 0;
  for (const value of reachable([values.loss, ...values.gradients.values()])) {
    const count = flopsOf(value);
    flops += count;
    const path = layerOf(value);
    if (path !== undefined) at(path).flops += count;
  }
  const summary: ModelSummary = {
    batchSize,
    layers: layers.map((layer) => ({ ...layer, ...at(layer.path) })),
    ...totals(model, rules),
    flops,
  };
  return printable(summary, formatSummary);
}

type TracedLayer = Omit<LayerSummary, "parameters" | "bytes" | "buffers" | "flops">;

/**
 * The layers of a trace, each once. What a layer calls in its own scope is a part of it; a plain function that calls
 * layers in its own scope is those.
 */
function layersOf(calls: readonly LayerCall[]): TracedLayer[] {
  const layers = new Map<string, TracedLayer>();
  const left = new Set<LayerCall>();
  calls.forEach((call, index) => {
    if (left.has(call)) return;
    const own = calls.slice(index + 1, index + 1 + call.inner).filter(({ path }) => path === call.path);
    if (call.isKnown) { for (const each of own) left.add(each); }
    else if (own.length > 0) left.add(call);
  });
  for (const { path, name, output } of calls.filter((call) => !left.has(call))) {
    const known = layers.get(path);
    layers.set(path, {
      path,
      layer: known?.layer ?? name,
      outputShape: output.shape,
      outputDType: output.dtype,
      calls: (known?.calls ?? 0) + 1,
    });
  }
  return [...layers.values()];
}

/** The longest of `paths` that the name of a parameter begins with; the whole model where none does. */
function ownerOf(parameter: string, paths: readonly string[]): string {
  const around = paths.filter((path) => path !== "" && parameter.startsWith(`${path}.`));
  return around.reduce((longest, path) => path.length > longest.length ? path : longest, "");
}

function totals(
  { parameters, buffers }: Model,
  rules: Pick<ParameterRules, "of">,
): Omit<ModelSummary, "batchSize" | "layers" | "flops"> {
  const count = (of: readonly { readonly shape: Shape }[]): number =>
    of.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const all = count(parameters);
  const trained = parameters.filter(({ name }) => rules.of(name) !== undefined);
  const bufferBytes = buffers.reduce(
    (sum, { dtype, shape }) => sum + elementCount(shape) * byteSizeOf(dtype),
    0,
  );
  return {
    parameters: all,
    trainedParameters: count(trained),
    bytes: 4 * all,
    buffers: count(buffers),
    bufferBytes,
  };
}

function formatSummary(
  { layers, batchSize, parameters, trainedParameters, bytes, buffers, bufferBytes, flops }: ModelSummary,
): string {
  const hasBuffers = buffers > 0;
  const rows = layers.map(({ path, layer, outputShape, calls, ...numbers }) => [
    path === "" ? "(model)" : path,
    calls === 1 ? layer : `${layer}, ${calls} times`,
    formatShape(outputShape),
    numbers.parameters,
    numbers.bytes,
    ...hasBuffers ? [numbers.buffers] : [],
    shortNumber(numbers.flops),
  ]);
  const frozen = parameters - trainedParameters;
  return [
    textTable([
      [
        "path",
        "layer",
        "output",
        "parameters",
        "bytes",
        ...hasBuffers ? ["buffers"] : [],
        "FLOPs of a step",
      ],
      ...rows,
    ]),
    "",
    `${parameters.toLocaleString("en")} parameters (${shortNumber(bytes)}B)` +
    `${frozen === 0 ? "" : `, ${frozen.toLocaleString("en")} of them frozen`}` +
    `${
      hasBuffers ? `, ${buffers.toLocaleString("en")} elements of buffers (${shortNumber(bufferBytes)}B)` : ""
    }; ` +
    `${shortNumber(flops)}FLOP for a step of ${batchSize} examples`,
  ].join("\n");
}
