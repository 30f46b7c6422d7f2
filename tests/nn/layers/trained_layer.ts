import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import * as ops from "../../../src/graph/ops.ts";
import { type Layer, normal, sequential } from "../../../src/nn/nn.ts";
import { sgd } from "../../../src/nn/optim/optim.ts";
import type { TrainerOptions } from "../../../src/train/trainer.ts";
import { expectClose } from "../../kernels/numbers.ts";
import { blobs, CLASSES, FEATURES, type Fixture, smallRun, withTrainer } from "../../train/fixtures.ts";

/** Parameters by their names in the model, as float64. */
export type Weights = Readonly<Record<string, readonly number[]>>;

/** A layer from rows of `FEATURES` to as many, and what it is in float64. */
export interface TrainedCase {
  readonly layer: Layer;
  /** Of the parameters of the layer alone. */
  readonly forward: (
    rows: readonly (readonly number[])[],
    weights: Weights,
  ) => readonly (readonly number[])[];
}

const BATCH = 12;
const BATCHES = 5;
const RATE = 0.3;
const DECAY = 0.01;
export const STEPS = 20;

/** Features scaled and added up in twos: no matmul, which takes long to compile. */
const logits: Layer = (x, scope) => {
  const scaled = ops.mul(x, scope.parameter("scale", [FEATURES], normal(1)));
  const pairs = ops.reshape(scaled, [-1, CLASSES, FEATURES / CLASSES]);
  return ops.add(ops.sum(pairs, { axes: 2 }), scope.parameter("bias", [CLASSES], normal(1)));
};

const DATA = blobs(BATCHES * BATCH, { batchSize: BATCH });

/** A run of the layer and a classifier behind it: 20 steps are 4 epochs. */
export function trainedRun(layer: Layer, overrides: Partial<TrainerOptions> = {}): TrainerOptions {
  return smallRun({
    model: sequential(layer, logits),
    data: DATA,
    optimizer: sgd({ learningRate: RATE, weightDecay: DECAY }),
    ...overrides,
  });
}

/** The examples and labels of a batch, as float64. */
export function batchOf(position: number): { rows: number[][]; labels: number[] } {
  const { inputs, labels } = DATA.batchAt({ epoch: 0, position, seed: 11, orderVersion: 1 } as never);
  const all = inputs as Float32Array;
  const rows = Array.from(
    { length: all.length / FEATURES },
    (_, row) => Array.from(all.subarray(row * FEATURES, (row + 1) * FEATURES)),
  );
  return { rows, labels: Array.from(labels as Uint32Array) };
}

/** The mean cross entropy of a batch, in float64. */
function lossOf({ forward }: TrainedCase, weights: Weights, position: number): number {
  const { rows, labels } = batchOf(position);
  const features = forward(rows, ownOf(weights));
  const losses = features.map((row, example) => {
    const outputs = Array.from({ length: CLASSES }, (_, label) => {
      const width = FEATURES / CLASSES;
      const places = Array.from({ length: width }, (_, place) => label * width + place);
      const sum = places.reduce(
        (total, at) => total + (row[at] ?? NaN) * (weights["1.scale"]?.[at] ?? NaN),
        0,
      );
      return sum + (weights["1.bias"]?.[label] ?? NaN);
    });
    const most = Math.max(...outputs);
    const total = outputs.reduce((sum, output) => sum + Math.exp(output - most), 0);
    return most + Math.log(total) - (outputs[labels[example] ?? 0] ?? NaN);
  });
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
}

/** The layer's own parameters by its names for them. */
function ownOf(weights: Weights): Weights {
  return Object.fromEntries(
    Object.entries(weights).filter(([name]) => name.startsWith("0.")).map((
      [name, of],
    ) => [name.slice(2), of]),
  );
}

/** One step of gradient descent, whose gradients are central differences. */
function stepped(trained: TrainedCase, weights: Weights, position: number): Weights {
  const step = 1e-5;
  return Object.fromEntries(
    Object.entries(weights).map(([name, values]) => [
      name,
      values.map((value, at) => {
        const lossWith = (moved: number): number =>
          lossOf(trained, { ...weights, [name]: values.with(at, moved) }, position);
        const slope = (lossWith(value + step) - lossWith(value - step)) / (2 * step);
        return value - RATE * (slope + DECAY * value);
      }),
    ]),
  );
}

/** The tensors of the model's group that `isWanted`, by their names in it. */
export async function modelTensors(
  { store }: Fixture,
  isWanted: (name: string) => boolean,
): Promise<Weights> {
  const names = store.group("model").tensors.map(({ name }) => name).filter((name) =>
    isWanted(name.slice(6))
  );
  const read = await store.read(names);
  return Object.fromEntries(
    [...read].map(([name, tensor]) => [name.slice(6), Array.from(tensor.toArray(), Number)]),
  );
}

/**
 * Trains 20 steps and compares loss and parameters with float64, whose gradients are differences; gives what `look`
 * makes of the run behind it.
 */
export async function checkTraining<T>(
  gpu: GpuDevice,
  trained: TrainedCase,
  look: (made: Fixture, weights: Weights) => Promise<T>,
): Promise<T> {
  return await withTrainer(gpu, trainedRun(trained.layer), async (made) => {
    // An evaluation gives the parameters their first values.
    await made.trainer.evaluate(DATA);
    const isParameter = (name: string): boolean => !/running|tracked/.test(name);
    let weights = await modelTensors(made, isParameter);
    const losses: number[] = [];
    for (let at = 0; at < STEPS; at++) {
      losses.push(lossOf(trained, weights, at % BATCHES));
      weights = stepped(trained, weights, at % BATCHES);
    }
    await made.trainer.train({ epochs: STEPS / BATCHES, progress: false });
    expectClose(made.trainer.history.loss, losses, { absolute: 1e-5, relative: 1e-5 });
    const found = await modelTensors(made, isParameter);
    for (const [name, values] of Object.entries(weights)) {
      expectClose(found[name] ?? [], values, { absolute: 2e-5, relative: 2e-5 });
    }
    return await look(made, weights);
  });
}
