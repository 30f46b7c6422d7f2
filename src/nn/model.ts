import { groupOf, MODEL_GROUP } from "../tensor/group_names.ts";
import type { DType } from "../base/dtype.ts";
import type { BufferRange } from "../gpu/buffer_range.ts";
import { Executable } from "../graph/executable.ts";
import { cast } from "../graph/ops/cast.ts";
import { type Like, type Named, namedOf, partsOf } from "../base/parts/named.ts";
import { input } from "../graph/ops/sources.ts";
import type { Value } from "../graph/value.ts";
import type { Values } from "../graph/values.ts";
import { formatShape, type Shape, shapesEqual } from "../tensor/shape.ts";
import type { StoredTensor, TensorGroup } from "../tensor/tensor_group.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";
import type { DecodingCache } from "./decoding_cache.ts";
import { type Layer, requireValues } from "./layer.ts";
import { type BorrowedTensor, borrowedTensor, type ModelBuffer, type Parameter, Scope } from "./scope.ts";

/** What a model is given: one example, without the batch axis. */
export interface ModelInput {
  /** The dtype of its elements. */
  readonly dtype: DType;
  /** Sizes of its dimensions, outermost first. */
  readonly shape: Shape;
}

/** One trace of a model: from the input `[batch, …]`, named "inputs", to the output. */
export interface ModelTrace<In extends Values = Values, Out extends Values = Values> {
  /** `[batch, …]`, named "inputs"; several each `inputs.name`, by their names. */
  readonly input: In;
  /** What the model gives for it. */
  readonly output: Out;
  /** Those that it asked for, in that order. */
  readonly parameters: readonly Parameter[];
  /** What it keeps from step to step and does not train. */
  readonly buffers: readonly ModelBuffer[];
  /** What buffers become in a step of training, by their names. */
  readonly bufferUpdates: ReadonlyMap<string, Value>;
  /**
   * What it reads of other models in the store.
   *
   * @internal
   */
  readonly borrowed: readonly BorrowedTensor[];
}

/** No training step has this number, so that the random numbers of the beginning are used nowhere else. */
const INITIALIZATION_STEP = 0xffff_ffff;

/** A layer with its parameters and buffers in a store. */
export class Model<In extends Values = Values, Out extends Values = Values> {
  /** Where they are. */
  readonly store: TensorStore;
  /** What it is called among several models in the store; its group is `name.model` then. */
  readonly name: string | undefined;
  /** What it is given; several inputs by their names. */
  readonly input: Named<ModelInput>;
  /** In the order in which the layer asks for them. */
  readonly parameters: readonly Parameter[];
  /** What it keeps from step to step and does not train. */
  readonly buffers: readonly ModelBuffer[];
  readonly #layer: Layer<never, Values>;

  private constructor(
    store: TensorStore,
    layer: Layer<In, Out>,
    input: Named<ModelInput>,
    { parameters, buffers }: Pick<ModelTrace, "parameters" | "buffers">,
    name: string | undefined,
  ) {
    this.store = store;
    this.name = name;
    this.input = input;
    this.parameters = parameters;
    this.buffers = buffers;
    this.#layer = layer;
  }

  /**
   * Traces `layer` for batches of `batchSize` inputs and gives its parameters, and behind them its buffers, a place in
   * `store`, filled with zeros until {@link Model.initialize}. Throws what the layer throws for a shape that does not
   * fit, and a `TypeError` for a model without parameters.
   *
   * @param laidOut The order in which the parameters lie in the store; that of the trace unless given.
   * @param name What it is called among several models in the store.
   */
  static define<In extends Values, Out extends Values>(
    store: TensorStore,
    layer: Layer<In, Out>,
    input: Like<In, Value, ModelInput>,
    batchSize: number,
    laidOut: (parameters: readonly Parameter[]) => readonly Parameter[] = (parameters) => parameters,
    name?: string,
  ): Model<In, Out> {
    const trace = traceModel(layer, input, batchSize, true);
    const { parameters, buffers } = trace;
    if (parameters.length === 0) {
      throw new TypeError(
        "The model has no parameters, so there is nothing to train; add a layer that has some",
      );
    }
    const specs = laidOut(parameters).map(({ name, shape }) => ({ name, dtype: "f32" as const, shape }));
    store.define(groupOf(name, MODEL_GROUP), [
      ...specs,
      ...buffers.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
    ]);
    return new Model(store, layer, input, trace, name);
  }

  /**
   * `layer` over the group `model` of `store`, which is to have its parameters and buffers already; see `unmet`.
   *
   * @param name What it is called among several models in the store.
   */
  static over<In extends Values, Out extends Values>(
    store: TensorStore,
    layer: Layer<In, Out>,
    input: Like<In, Value, ModelInput>,
    name?: string,
  ): Model<In, Out> {
    return new Model(store, layer, input, traceModel(layer, input, 1, false), name);
  }

  /** How the group differs from what the layer asks for, each difference in words; empty where it fits. */
  unmet(): string[] {
    const { group } = this;
    const found = new Map(group.specs().map((spec) => [spec.name, spec]));
    const parameters = this.parameters.map(({ name, shape }) => ({ name, dtype: "f32", shape }));
    const asked = [...parameters, ...this.buffers];
    const unmet = asked.flatMap(({ name, dtype, shape }) => {
      const spec = found.get(name);
      const wanted = `${dtype} ${formatShape(shape)}`;
      if (spec === undefined) return [`"${name}" (${wanted}) is missing`];
      if (spec.dtype === dtype && shapesEqual(spec.shape, shape)) return [];
      return [`"${name}" is ${spec.dtype} ${formatShape(spec.shape)} and the model asks for ${wanted}`];
    });
    const names = new Set(asked.map(({ name }) => name));
    const unused = [...found.keys()].filter((name) => !names.has(name));
    return [...unmet, ...unused.map((name) => `the model asks for no "${name}"`)];
  }

  /** The tensors of parameters and buffers, on the device that the store is on now. */
  get group(): TensorGroup {
    return this.store.group(groupOf(this.name, MODEL_GROUP));
  }

  /** The model as graph values for one batch size. */
  trace(batchSize: number, isTraining: boolean): ModelTrace<In, Out> {
    const layer = this.#layer as Layer<In, Out>;
    return this.#known(traceModel(layer, this.input as Like<In, Value, ModelInput>, batchSize, isTraining));
  }

  #known<Trace extends ModelTrace>(trace: Trace): Trace {
    for (const { name, shape } of trace.parameters) requireKnown("parameter", this.parameters, name, shape);
    for (const { name, shape } of trace.buffers) requireKnown("buffer", this.buffers, name, shape);
    for (const borrowed of trace.borrowed) requireBorrowed(this.store, borrowed);
    return trace;
  }

  /**
   * The model as graph values for positions that follow others, of which `cache` is asked for what is kept.
   *
   * @param inputs Of these positions: `[batch, positions]`.
   * @internal
   */
  traceDecoding(inputs: In, cache: DecodingCache): ModelTrace<In, Out> {
    return this.#known(traceIn(Scope.decoding(cache), this.#layer as Layer<In, Out>, inputs));
  }

  /** The tensor of the parameter or buffer called `name`. */
  tensorOf(name: string): StoredTensor {
    return this.store.tensor(borrowedTensor(name) ?? `${groupOf(this.name, MODEL_GROUP)}.${name}`);
  }

  /** Where the parameter or buffer called `name` is. */
  rangeOf(name: string): BufferRange {
    return this.tensorOf(name).range;
  }

  /**
   * Gives every parameter and buffer its first value, a pure function of the seed, its place among the parameters (the
   * buffers follow them) and its initializer.
   */
  async initialize(seed: number | bigint): Promise<void> {
    const tensors = [...this.parameters.map((each) => ({ ...each, dtype: "f32" as const })), ...this.buffers];
    const stores = tensors.map(({ name, shape, dtype, initializer }, index) => {
      const value = initializer(shape, index);
      if (value.dtype !== "f32" && value.dtype !== dtype || !shapesEqual(value.shape, shape)) {
        const found = `${value.dtype} ${formatShape(value.shape)}`;
        throw new TypeError(
          `The initializer of "${name}" gives ${found}, expected ${dtype} ${formatShape(shape)}`,
        );
      }
      return { value: value.dtype === dtype ? value : cast(value, dtype), into: this.rangeOf(name) };
    });
    const executable = await Executable.compile(
      this.store.gpu,
      { inputs: [], outputs: {}, stores, parameters: (name) => this.rangeOf(name) },
      { label: "initialize", variants: this.store.variants },
    );
    executable.run({}, { seed, step: INITIALIZATION_STEP, values: [] });
    executable.close();
  }
}

function requireKnown(
  kind: string,
  all: readonly { readonly name: string; readonly shape: Shape }[],
  name: string,
  shape: Shape,
): void {
  const known = all.find((each) => each.name === name);
  if (known !== undefined && shapesEqual(known.shape, shape)) return;
  const found = known === undefined ? `has no such ${kind}` : `has it as ${formatShape(known.shape)}`;
  throw new TypeError(
    `The model asks for ${kind} "${name}" ${formatShape(shape)}, but its first trace ${found}; ` +
      `a layer asks for the same ${kind}s for every batch size, in training and in evaluation`,
  );
}

/** A `TypeError` unless the other model has the tensor in the store, as it is asked for. */
function requireBorrowed(store: TensorStore, { of, name, dtype, shape }: BorrowedTensor): void {
  const full = `${groupOf(of, MODEL_GROUP)}.${name}`;
  const asked = `The model reads "${name}" ${dtype} ${formatShape(shape)} of the model "${of}"`;
  if (!store.has(full)) {
    throw new TypeError(
      `${asked}, and the store has no "${full}"; make the step that trains "${of}" in the same store, before either ` +
        "is compiled",
    );
  }
  const found = store.tensor(full);
  if (found.dtype === dtype && shapesEqual(found.shape, shape)) return;
  throw new TypeError(
    `${asked}, which has it as ${found.dtype} ${
      formatShape(found.shape)
    }; give frozen() the layer that is trained`,
  );
}

/** `layer` as graph values for one batch size, without a place for its parameters. Throws what the layer throws. */
export function traceModel<In extends Values, Out extends Values>(
  layer: Layer<In, Out>,
  example: Like<In, Value, ModelInput>,
  batchSize: number,
  isTraining: boolean,
): ModelTrace<In, Out> {
  const inputs = batchInputs<Named<ModelInput>>("inputs", example, batchSize) as In;
  return traceIn(Scope.root({ isTraining }), layer, inputs);
}

function traceIn<In extends Values, Out extends Values>(
  scope: Scope,
  layer: Layer<In, Out>,
  inputs: In,
): ModelTrace<In, Out> {
  const output = requireValues("The model", layer(inputs, scope));
  const { parameters, buffers, bufferUpdates, borrowed } = scope;
  return { input: inputs, output, parameters, buffers, bufferUpdates, borrowed };
}

/** What a batch of `size` such examples is as graph values, named `what`, or `what.name` each of several. */
export function batchInputs<T extends Named<ModelInput>>(
  what: string,
  examples: T,
  size: number,
): Like<T, ModelInput, Value> {
  const inputs = Object.entries(partsOf<ModelInput>(what, examples, isModelInput)).map(
    ([part, { dtype, shape }]): [string, Value] => [part, input(part, dtype, [size, ...shape])],
  );
  return namedOf(what, Object.fromEntries(inputs)) as Like<T, ModelInput, Value>;
}

function isModelInput(examples: unknown): examples is ModelInput {
  return typeof (examples as Partial<ModelInput> | null | undefined)?.dtype === "string";
}
