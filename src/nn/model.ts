import { MODEL_GROUP } from "../tensor/group_names.ts";
import type { DType } from "../base/dtype.ts";
import type { BufferRange } from "../gpu/buffer_range.ts";
import { Executable } from "../graph/executable.ts";
import { input } from "../graph/ops/sources.ts";
import type { Value } from "../graph/value.ts";
import { formatShape, type Shape, shapesEqual } from "../tensor/shape.ts";
import type { StoredTensor, TensorGroup } from "../tensor/tensor_group.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";
import { type Layer, requireValue } from "./layer.ts";
import { type Parameter, Scope } from "./scope.ts";

/** What a model is given: one example, without the batch axis. */
export interface ModelInput {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** One trace of a model: from the input `[batch, …]`, named "inputs", to the output. */
export interface ModelTrace {
  readonly input: Value;
  readonly output: Value;
  readonly parameters: readonly Parameter[];
}

/** No training step has this number, so that the random numbers of the beginning are used nowhere else. */
const INITIALIZATION_STEP = 0xffff_ffff;

/** A layer with its parameters in a store. */
export class Model {
  readonly store: TensorStore;
  readonly input: ModelInput;
  readonly parameters: readonly Parameter[];
  readonly #layer: Layer;

  private constructor(store: TensorStore, layer: Layer, input: ModelInput, parameters: readonly Parameter[]) {
    this.store = store;
    this.input = input;
    this.parameters = parameters;
    this.#layer = layer;
  }

  /**
   * Traces `layer` for batches of `batchSize` inputs and gives its parameters a place in `store`, filled with
   * zeros until {@link Model.initialize}. Throws what the layer throws for a shape that does not fit, and a
   * `TypeError` for a model without parameters.
   *
   * @param laidOut The order in which they lie in the store; that of the trace unless given.
   */
  static define(
    store: TensorStore,
    layer: Layer,
    input: ModelInput,
    batchSize: number,
    laidOut: (parameters: readonly Parameter[]) => readonly Parameter[] = (parameters) => parameters,
  ): Model {
    const { parameters } = traceModel(layer, input, batchSize, true);
    if (parameters.length === 0) {
      throw new TypeError(
        "The model has no parameters, so there is nothing to train; add a layer that has some",
      );
    }
    store.define(MODEL_GROUP, laidOut(parameters).map(({ name, shape }) => ({ name, dtype: "f32", shape })));
    return new Model(store, layer, input, parameters);
  }

  /** The parameters' tensors, on the device that the store is on now. */
  get group(): TensorGroup {
    return this.store.group(MODEL_GROUP);
  }

  /** The model as graph values for one batch size. */
  trace(batchSize: number, isTraining: boolean): ModelTrace {
    const trace = traceModel(this.#layer, this.input, batchSize, isTraining);
    for (const { name, shape } of trace.parameters) this.#requireKnown(name, shape);
    return trace;
  }

  /** The tensor of the parameter called `name`. */
  tensorOf(name: string): StoredTensor {
    return this.store.tensor(`${MODEL_GROUP}.${name}`);
  }

  /** Where the parameter called `name` is. */
  rangeOf(name: string): BufferRange {
    return this.tensorOf(name).range;
  }

  /**
   * Gives every parameter its first value, a pure function of the seed, its place among the parameters and
   * its initializer.
   */
  async initialize(seed: number | bigint): Promise<void> {
    const stores = this.parameters.map(({ name, shape, initializer }, index) => {
      const value = initializer(shape, index);
      if (value.dtype !== "f32" || !shapesEqual(value.shape, shape)) {
        const found = `${value.dtype} ${formatShape(value.shape)}`;
        throw new TypeError(
          `The initializer of "${name}" gives ${found}, expected f32 ${formatShape(shape)}`,
        );
      }
      return { value, into: this.rangeOf(name) };
    });
    const executable = await Executable.compile(
      this.store.gpu,
      { inputs: [], outputs: {}, stores, parameters: (name) => this.rangeOf(name) },
      { label: "initialize", variants: this.store.variants },
    );
    executable.run({}, { seed, step: INITIALIZATION_STEP, values: [] });
    executable.close();
  }

  #requireKnown(name: string, shape: Shape): void {
    const known = this.parameters.find((parameter) => parameter.name === name);
    if (known !== undefined && shapesEqual(known.shape, shape)) return;
    const found = known === undefined ? "has no such parameter" : `has it as ${formatShape(known.shape)}`;
    throw new TypeError(
      `The model asks for parameter "${name}" ${formatShape(shape)}, but its first trace ${found}; ` +
        `a layer asks for the same parameters for every batch size, in training and in evaluation`,
    );
  }
}

/** `layer` as graph values for one batch size, without a place for its parameters. Throws what the layer throws. */
export function traceModel(
  layer: Layer,
  example: ModelInput,
  batchSize: number,
  isTraining: boolean,
): ModelTrace {
  const scope = Scope.root({ isTraining });
  const inputs = input("inputs", example.dtype, [batchSize, ...example.shape]);
  const output = requireValue("The model", layer(inputs, scope));
  return { input: inputs, output, parameters: scope.parameters };
}
