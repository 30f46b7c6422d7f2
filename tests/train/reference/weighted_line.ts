import { Buffer } from "node:buffer";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { isNaNValue, logicalNot, where } from "../../../src/graph/ops/comparison.ts";
import { square, sub } from "../../../src/graph/ops/arithmetic.ts";
import { cast } from "../../../src/graph/ops/cast.ts";
import { sum } from "../../../src/graph/ops/sum.ts";
import { linear, type Loss } from "../../../src/nn/nn.ts";
import { sgd } from "../../../src/nn/optim/optim.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { DataLoader, type DataLoaderOptions } from "../../../src/data/data_loader.ts";
import { Trainer, type TrainerOptions } from "../../../src/train/trainer.ts";
import { numbers } from "../fixtures.ts";

// A plane through three features, in float64: squares of errors over the labels that are known.

export const FEATURES = 3;
export const TARGETS = 2;
export const RATE = 0.1;

/** Squares of errors and how many labels are known, of examples that may have one and not the other. */
export const careful: Loss = (output, labels) => {
  const isKnown = logicalNot(isNaNValue(labels));
  const errors = where(isKnown, sub(output, labels), 0);
  return {
    value: sum(square(errors), { axes: 1 }),
    weight: sum(cast(isKnown, "f32"), { axes: 1 }),
  };
};

/** The same, with no care for what a NaN does to a gradient: for examples that have all labels or none. */
export const careless: Loss = (output, labels) => ({
  value: sum(where(isNaNValue(labels), 0, square(sub(output, labels))), { axes: 1 }),
  weight: sum(cast(logicalNot(isNaNValue(labels)), "f32"), { axes: 1 }),
});

/** Examples of which some labels, and of every fifth example all, are unknown: NaN. */
export interface Points {
  readonly inputs: Float32Array;
  readonly labels: Float32Array;
}

export function points(count: number, isKnown: (row: number, column: number) => boolean, seed = 9): Points {
  const random = numbers(seed);
  const inputs = Float32Array.from({ length: count * FEATURES }, () => random() - 0.5);
  const labels = Float32Array.from({ length: count * TARGETS }, (_, at) => {
    const row = Math.floor(at / TARGETS);
    const known = isKnown(row, at % TARGETS);
    return known ? (inputs[row * FEATURES + at % TARGETS] ?? 0) * 2 - random() : NaN;
  });
  return { inputs, labels };
}

export function loaderOf({ inputs, labels }: Points, options: DataLoaderOptions): DataLoader {
  return DataLoader.from({
    inputs: HostTensor.from(inputs, [inputs.length / FEATURES, FEATURES]),
    labels: HostTensor.from(labels, [labels.length / TARGETS, TARGETS]),
  }, options);
}

/** A run on `data`, by plain SGD. */
export function planeRun(
  data: TrainerOptions["data"],
  overrides: Partial<TrainerOptions> = {},
): TrainerOptions {
  return {
    model: linear(FEATURES, TARGETS),
    loss: careful,
    optimizer: sgd({ learningRate: RATE }),
    data,
    seed: 4,
    ...overrides,
  };
}

/** Weights `[TARGETS, FEATURES]` and biases. */
export interface Plane {
  readonly weight: Float64Array;
  readonly bias: Float64Array;
}

export async function planeOf(store: TensorStore): Promise<Plane> {
  const read = await store.read(["model.weight", "model.bias"]);
  const numbersOf = (name: string): Float64Array =>
    Float64Array.from(read.get(name)?.toArray() as Float32Array);
  return { weight: numbersOf("model.weight"), bias: numbersOf("model.bias") };
}

/**
 * Sums over the examples `from` to `to`: of the squares, of the labels that are known, and the gradient of the first.
 */
export function sumsOf(
  { inputs, labels }: Points,
  { weight, bias }: Plane,
  from: number,
  to: number,
): { value: number; count: number; gradient: Plane } {
  const gradient: Plane = { weight: new Float64Array(weight.length), bias: new Float64Array(bias.length) };
  const addTo = (sums: Float64Array, at: number, term: number): void => {
    sums[at] = (sums[at] ?? 0) + term;
  };
  let value = 0;
  let count = 0;
  for (let row = from; row < to; row++) {
    for (let target = 0; target < TARGETS; target++) {
      const label = labels[row * TARGETS + target] as number;
      if (Number.isNaN(label)) continue;
      const x = [...inputs.subarray(row * FEATURES, (row + 1) * FEATURES)];
      const error = x.reduce((sum, each, k) => sum + each * (weight[target * FEATURES + k] as number), 0) +
        (bias[target] as number) - label;
      value += error * error;
      count += 1;
      x.forEach((each, k) => addTo(gradient.weight, target * FEATURES + k, 2 * error * each));
      addTo(gradient.bias, target, 2 * error);
    }
  }
  return { value, count, gradient };
}

/** One step of SGD on the mean over the labels that are known. */
export function referenceStep(data: Points, plane: Plane, from: number, to: number): number {
  const { value, count, gradient } = sumsOf(data, plane, from, to);
  if (count === 0) return 0;
  for (const key of ["weight", "bias"] as const) {
    plane[key].forEach((before, at) => plane[key][at] = before - RATE * (gradient[key][at] ?? NaN) / count);
  }
  return value / count;
}

/** Runs `body` with a trainer on a store of its own, and closes both. */
export async function withPlane<T>(
  gpu: GpuDevice,
  options: TrainerOptions,
  body: (trainer: Trainer, store: TensorStore) => Promise<T>,
): Promise<T> {
  const store = TensorStore.on(gpu);
  const trainer = new Trainer(store, options);
  try {
    return await body(trainer, store);
  } finally {
    await trainer.close();
    await store.close();
  }
}

/** The parameters as hexadecimal text. */
export async function bitsOf(store: TensorStore): Promise<string[]> {
  const read = await store.read(store.group("model").tensors.map(({ name }) => name));
  return [...read.values()].map(({ bytes }) => Buffer.from(bytes).toString("hex"));
}

/** Asserts that two lists of numbers are near each other. */
export function nearby(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  if (found.length !== expected.length) {
    throw new Error(`${found.length} numbers, expected ${expected.length}`);
  }
  Array.from(expected).forEach((wanted, at) => {
    const is = found[at] ?? NaN;
    if (Object.is(is, wanted) || Math.abs(is - wanted) <= tolerance * (1 + Math.abs(wanted))) return;
    throw new Error(`Number ${at} is ${is}, expected ${wanted}`);
  });
}
