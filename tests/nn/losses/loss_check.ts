import { expect } from "bun:test";
import { gradients } from "../../../src/graph/autodiff.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import type { DType } from "../../../src/base/dtype.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import type { Loss } from "../../../src/nn/nn.ts";
import { elementCount } from "../../../src/tensor/shape.ts";
import { batchTerms, meanOfTerm, sumOfWeights } from "../../../src/train/measure/batch_loss.ts";
import { runValues } from "../../graph/run_values.ts";
import { numbers } from "../../train/fixtures.ts";

/** What one example costs, in float64. Labels and output are its own. */
export type ExampleReference = (
  output: readonly number[],
  labels: readonly number[],
) => { readonly value: number; readonly weight: number };

/** A loss and what it is compared with. */
export interface LossCase {
  readonly loss: Loss;
  readonly reference: ExampleReference;
  /** Of one example. */
  readonly outputShape: readonly number[];
  readonly labelShape: readonly number[];
  readonly labelDType?: DType;
  /** From a number in [0, 1); the shape of the output as a whole may matter. */
  readonly outputOf?: (x: number) => number;
  readonly labelOf?: (x: number) => number;
  /** What follows from all outputs or labels of an example, such as a distribution. */
  readonly prepareOutput?: (output: number[]) => number[];
  readonly prepareLabels?: (labels: number[]) => number[];
  /** How exact it is. Default 3e-6 of 1 and of the number. */
  readonly tolerance?: number;
}

interface Batch {
  readonly outputs: readonly (readonly number[])[];
  readonly labels: readonly (readonly number[])[];
  readonly weights: readonly number[] | undefined;
}

/** A number of a batch with what is added to it: f32 numbers are exact in f64. */
function exact(x: number, dtype: DType): number {
  return dtype === "f32" ? Math.fround(x) : x;
}

function batchOf(lossCase: LossCase, size: number, seed: number): Batch {
  const { outputShape, labelShape, labelDType = "f32" } = lossCase;
  const { outputOf = (x) => 6 * x - 3, labelOf = (x) => 4 * x - 2 } = lossCase;
  const { prepareOutput = (all) => all, prepareLabels = (all) => all } = lossCase;
  const random = numbers(seed);
  const rows = (
    count: number,
    of: (x: number) => number,
    prepare: (all: number[]) => number[],
    dtype: DType,
  ) =>
    Array.from(
      { length: size },
      () => prepare(Array.from({ length: count }, () => of(random()))).map((x) => exact(x, dtype)),
    );
  const outputs = rows(elementCount(outputShape), outputOf, prepareOutput, "f32");
  return {
    outputs,
    labels: rows(elementCount(labelShape), labelOf, prepareLabels, labelDType),
    weights: undefined,
  };
}

/** The loss of a batch, by the rule of the trainer. */
function meanLoss(
  { reference }: LossCase,
  { outputs, labels, weights }: Batch,
): { loss: number; weight: number } {
  let [value, weight] = [0, 0];
  outputs.forEach((output, row) => {
    const factor = weights?.[row] ?? 1;
    if (factor === 0) return;
    const found = reference(output, labels[row] ?? []);
    if (found.weight === 0) return;
    value += factor * found.value;
    weight += factor * found.weight;
  });
  return { loss: weight === 0 ? 0 : value / weight, weight };
}

/** Its gradient, by central differences. */
function gradientOf(lossCase: LossCase, batch: Batch): number[] {
  return batch.outputs.flatMap((output, row) =>
    output.map((x, at) => {
      if (batch.weights?.[row] === 0) return 0;
      const step = 1e-5 * Math.max(1, Math.abs(x));
      const [up, down] = [x + step, x - step].map((moved) => {
        const changed = output.map((each, index) => index === at ? moved : each);
        const outputs = batch.outputs.map((each, index) => index === row ? changed : each);
        return meanLoss(lossCase, { ...batch, outputs }).loss;
      });
      return ((up ?? NaN) - (down ?? NaN)) / (2 * step);
    })
  );
}

interface Found {
  readonly loss: number;
  readonly weight: number;
  readonly gradient: number[];
}

async function onGpu(gpu: GpuDevice, lossCase: LossCase, batch: Batch): Promise<Found> {
  const { loss, outputShape, labelShape, labelDType = "f32" } = lossCase;
  const size = batch.outputs.length;
  const output = input("output", "f32", [size, ...outputShape]);
  const labels = input("labels", labelDType, [size, ...labelShape]);
  const weights = batch.weights === undefined ? undefined : input("weights", "f32", [size]);
  const [term] = batchTerms((given) => loss(given, labels, weights), output, labels, size);
  if (term === undefined) throw new Error("There is no term");
  const mean = meanOfTerm(term);
  const weight = sumOfWeights(term);
  const values = [mean, ...gradients(mean, [output]), ...typeof weight === "number" ? [] : [weight]];
  const elements = {
    output: batch.outputs.flat(),
    labels: batch.labels.flat(),
    weights: batch.weights ?? [],
  };
  const read = async (): Promise<number[][]> =>
    (await runValues(gpu, values, elements)).map((tensor) => Array.from(tensor.toArray(), Number));
  const [first, second] = [await read(), await read()];
  expect(second).toEqual(first);
  const [[found = NaN] = [], gradient = [], [weighed = typeof weight === "number" ? weight : NaN] = []] =
    first;
  return { loss: found, weight: weighed, gradient };
}

function near(what: string, found: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(found).toHaveLength(expected.length);
  // Of a gradient whose numbers are small, the largest says what a rounding is.
  const scale = Math.max(...expected.map(Math.abs), 1e-3);
  expected.forEach((wanted, at) => {
    const is = found[at] ?? NaN;
    if (Math.abs(is - wanted) <= tolerance * (scale + Math.abs(wanted))) return;
    throw new Error(`${what}: number ${at} is ${is}, expected ${wanted}`);
  });
}

/**
 * Compares value, weight and gradient for batches of several sizes, twice for equal bits, and with a weight of 0 over
 * NaN.
 */
export async function checkLoss(
  gpu: GpuDevice,
  lossCase: LossCase,
  sizes: readonly number[] = [1, 5, 67],
): Promise<void> {
  const { tolerance = 3e-6 } = lossCase;
  for (const size of sizes) {
    const batch = batchOf(lossCase, size, size + 3);
    for (
      const weights of size === 1
        ? [undefined]
        : [undefined, batch.outputs.map((_, row) => [0, 0.5, 2][row % 3] ?? 1)]
    ) {
      const weighed = { ...batch, weights };
      const expected = meanLoss(lossCase, weighed);
      const outputs = weights === undefined
        ? batch.outputs
        : spoiled(batch.outputs, weights, [NaN, Infinity]);
      const isFloat = (lossCase.labelDType ?? "f32") === "f32";
      const labels = weights === undefined || !isFloat ? batch.labels : spoiled(batch.labels, weights, [NaN]);
      const found = await onGpu(gpu, lossCase, { outputs, labels, weights });
      near("loss", [found.loss], [expected.loss], tolerance);
      near("weight", [found.weight], [expected.weight], 1e-6);
      near("gradient", found.gradient, gradientOf(lossCase, weighed), tolerance);
    }
  }
}

function spoiled(
  rows: readonly (readonly number[])[],
  weights: readonly number[],
  values: readonly number[],
): number[][] {
  return rows.map((row, index) =>
    row.map((x, at) => weights[index] === 0 ? values[at % values.length] ?? NaN : x)
  );
}
