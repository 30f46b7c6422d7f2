import { expect } from "bun:test";
import type { DType } from "../../../src/base/dtype.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { gradients } from "../../../src/graph/autodiff.ts";
import { Executable } from "../../../src/graph/executable.ts";
import { mul } from "../../../src/graph/ops/arithmetic.ts";
import { constant, input } from "../../../src/graph/ops/sources.ts";
import { sum } from "../../../src/graph/ops/sum.ts";
import { type Layer, Model, Scope, zeros } from "../../../src/nn/nn.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { elementCount } from "../../../src/tensor/shape.ts";
import { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { numbers } from "../../train/fixtures.ts";

export type Parameters = Readonly<Record<string, readonly number[]>>;

/** A layer and what it is compared with. */
export interface LayerCase {
  readonly layer: Layer;
  /** The batch counts. */
  readonly shape: readonly number[];
  readonly dtype?: DType;
  /** From a number in [0, 1). Default: -2 to 2. */
  readonly elementOf?: (x: number) => number;
  /** The output in float64, row by row as it lies in memory. */
  readonly reference: (x: readonly number[], parameters: Parameters) => readonly number[];
  readonly parameters: Readonly<Record<string, readonly number[]>>;
  readonly outputShape: readonly number[];
  readonly tolerance?: number;
}

const STEP = 1e-4;

/** Names and shapes of the parameters, and the output's shape, without a device. */
export function shapesOf(
  layer: Layer,
  shape: readonly number[],
  dtype: DType = "f32",
): { output: readonly number[]; parameters: Record<string, readonly number[]> } {
  const scope = Scope.root({ isTraining: true });
  const output = layer(input("x", dtype, shape), scope);
  const parameters = Object.fromEntries(scope.parameters.map(({ name, shape }) => [name, shape]));
  return { output: output.shape, parameters };
}

/** Compares output, and the gradients of the input and of every parameter, with the reference. */
export async function checkLayer(gpu: GpuDevice, layerCase: LayerCase): Promise<void> {
  const { layer, shape, dtype = "f32", reference, outputShape, tolerance = 2e-5 } = layerCase;
  const shapes = shapesOf(layer, shape, dtype);
  expect(shapes).toEqual({ output: outputShape, parameters: layerCase.parameters });
  const random = numbers(17);
  const of = (count: number, elementOf: (x: number) => number): number[] =>
    Array.from({ length: count }, () => Math.fround(elementOf(random())));
  const x = of(elementCount(shape), layerCase.elementOf ?? ((at) => 4 * at - 2));
  const parameters = Object.fromEntries(
    Object.entries(shapes.parameters).map((
      [name, size],
    ) => [name, of(elementCount(size), (at) => 2 * at - 1)]),
  );
  const factors = Array.from({ length: elementCount(outputShape) }, (_, at) => Math.fround(Math.cos(at + 1)));
  const total = (moved: readonly number[], named: Parameters): number =>
    reference(moved, named).reduce((sum, value, at) => sum + value * (factors[at] ?? NaN), 0);

  const found = await runLayer(gpu, layerCase, x, parameters, factors);
  near("output", found.output, reference(x, parameters), tolerance);
  if (dtype === "f32") {
    near(
      "gradient of the input",
      found.inputs,
      slopes(x, (moved) => total(moved, parameters)),
      tolerance,
    );
  }
  for (const [name, values] of Object.entries(parameters)) {
    const expected = slopes(values, (moved) => total(x, { ...parameters, [name]: moved }));
    near(`gradient of ${name}`, found.gradients[name] ?? [], expected, tolerance);
  }
}

function slopes(values: readonly number[], of: (moved: readonly number[]) => number): number[] {
  return values.map((value, at) =>
    (of(values.with(at, value + STEP)) - of(values.with(at, value - STEP))) / (2 * STEP)
  );
}

function near(what: string, found: readonly number[], expected: readonly number[], tolerance: number): void {
  expect([what, found.length]).toEqual([what, expected.length]);
  // Of a sum whose terms cancel, such as the gradient of the keys' bias, the terms say what a rounding is.
  const scale = Math.max(...expected.map(Math.abs), 0.1);
  expected.forEach((wanted, at) => {
    const is = found[at] ?? NaN;
    if (Math.abs(is - wanted) <= tolerance * scale) return;
    throw new Error(`${what}: number ${at} is ${is}, expected ${wanted}`);
  });
}

/** Of the sum of the output's elements times their factors, what the GPU makes of it. */
export interface LayerRun {
  readonly output: readonly number[];
  readonly inputs: readonly number[];
  readonly gradients: Parameters;
}

/** Runs a layer once, on given numbers and parameters, with its gradients. */
export async function runLayer(
  gpu: GpuDevice,
  { layer, shape, dtype = "f32", outputShape, isTraining = false }:
    & Pick<LayerCase, "layer" | "shape" | "dtype" | "outputShape">
    & { readonly isTraining?: boolean },
  x: readonly number[],
  parameters: Parameters,
  factors: readonly number[],
): Promise<LayerRun> {
  const store = TensorStore.on(gpu);
  // A model needs a parameter, which a layer without one has not.
  const withParameter: Layer = (value, scope) => {
    scope.parameter("spare", [1], zeros());
    return layer(value, scope);
  };
  const [batch = 0, ...example] = shape;
  const model = Model.define(store, withParameter, { dtype, shape: example }, batch);
  const trace = model.trace(batch, isTraining);
  const own = trace.parameters.filter(({ name }) => name !== "spare");
  store.write(Object.fromEntries(
    own.map(({ name, shape }) => [`model.${name}`, HostTensor.from(parameters[name] ?? [], shape, "f32")]),
  ));
  const loss = sum(mul(trace.output, constant(HostTensor.from(factors, outputShape, "f32"))));
  const leaves = [...dtype === "f32" ? [trace.input] : [], ...own.map(({ value }) => value)];
  const outputs = [trace.output, ...gradients(loss, leaves)];
  const executable = await Executable.compile(gpu, {
    inputs: [trace.input],
    outputs: Object.fromEntries(outputs.map((value, index) => [`${index}`, value])),
    parameters: (name) => model.rangeOf(name),
  });
  try {
    executable.run({ inputs: HostTensor.from(x, shape, dtype) }, { seed: 1, step: 0, values: [] });
    const read = await executable.read(...outputs.map((_, index) => `${index}`));
    const [output = [], ...slopes] = read.map((tensor) => Array.from(tensor.toArray(), Number));
    const inputs = dtype === "f32" ? slopes.shift() ?? [] : [];
    return {
      output,
      inputs,
      gradients: Object.fromEntries(own.map(({ name }, at) => [name, slopes[at] ?? []])),
    };
  } finally {
    executable.close();
    await store.close();
  }
}
