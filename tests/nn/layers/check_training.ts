import { expect } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { DataLoader } from "../../../src/data/data_loader.ts";
import type { Layer, Loss } from "../../../src/nn/nn.ts";
import { sgd } from "../../../src/nn/optim/optim.ts";
import type { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { Trainer } from "../../../src/train/trainer.ts";
import type { Parameters } from "./check_layer.ts";

/** A model that is trained on one batch, again and again, and what it is compared with. */
export interface TrainingCase {
  readonly model: Layer;
  readonly loss: Loss;
  readonly inputs: HostTensor;
  readonly labels: HostTensor;
  /** The loss of the batch in float64. */
  readonly reference: (parameters: Parameters) => number;
  readonly learningRate: number;
  readonly tolerance?: number;
}

const STEPS = 20;
const MOMENTUM = 0.9;
const DIFFERENCE = 1e-5;

/** Trains for 20 steps, and compares loss and parameters with float64, whose slopes are central differences. */
export async function checkTraining(gpu: GpuDevice, trainingCase: TrainingCase): Promise<void> {
  const { model, loss, inputs, labels, reference, learningRate, tolerance = 2e-5 } = trainingCase;
  const [batchSize = 0] = inputs.shape;
  const store = TensorStore.on(gpu);
  const trainer = new Trainer(store, {
    model,
    loss,
    optimizer: sgd({ learningRate, momentum: MOMENTUM }),
    data: DataLoader.from({ inputs, labels }, { batchSize }),
    validation: DataLoader.from({ inputs, labels }, { batchSize }),
    seed: 3,
  });
  try {
    await trainer.evaluate(); // gives the weights their first values
    const first = await parametersOf(store);
    const losses = [reference(first)];
    const last = referenceTraining(first, reference, learningRate, losses);
    await trainer.train({ steps: STEPS, progress: false });
    const found = await parametersOf(store);
    expect(Object.keys(found)).toEqual(Object.keys(last));
    for (const [name, values] of Object.entries(last)) {
      const scale = Math.max(...values.map(Math.abs), 0.1);
      values.forEach((expected, at) => {
        const is = found[name]?.[at] ?? NaN;
        if (Math.abs(is - expected) <= tolerance * scale) return;
        throw new Error(`${name}: number ${at} is ${is} after ${STEPS} steps, expected ${expected}`);
      });
    }
    const { loss: end } = await trainer.evaluate();
    expect(Math.abs(end - (losses.at(-1) ?? NaN))).toBeLessThan(tolerance * Math.max(end, 1));
    // Otherwise two models that stand still would agree.
    expect(end).toBeLessThan((losses[0] ?? NaN) * 0.9);
  } finally {
    await trainer.close();
    await store.close();
  }
}

async function parametersOf(store: TensorStore): Promise<Parameters> {
  const names = store.tensors().map(({ name }) => name).filter((name) => name.startsWith("model."));
  const read = await store.read(names);
  return Object.fromEntries(
    names.map((name) => [
      name.slice("model.".length),
      Array.from(read.get(name)?.toArray() as Float32Array),
    ]),
  );
}

/** SGD with momentum as PyTorch has it. Adds the loss after each step to `losses`. */
function referenceTraining(
  first: Parameters,
  reference: (parameters: Parameters) => number,
  learningRate: number,
  losses: number[],
): Parameters {
  let weights = first;
  let velocities: Parameters = Object.fromEntries(
    Object.entries(first).map(([name, values]) => [name, values.map(() => 0)]),
  );
  for (let step = 0; step < STEPS; step++) {
    const at = weights;
    velocities = mapped(
      velocities,
      (name, values) =>
        values.map((velocity, index) => MOMENTUM * velocity + slope(reference, at, name, index)),
    );
    const velocity = velocities;
    weights = mapped(
      weights,
      (name, values) => values.map((value, index) => value - learningRate * (velocity[name]?.[index] ?? NaN)),
    );
    losses.push(reference(weights));
  }
  return weights;
}

function mapped(
  parameters: Parameters,
  of: (name: string, values: readonly number[]) => readonly number[],
): Parameters {
  return Object.fromEntries(Object.entries(parameters).map(([name, values]) => [name, of(name, values)]));
}

function slope(
  reference: (parameters: Parameters) => number,
  parameters: Parameters,
  name: string,
  index: number,
): number {
  const values = parameters[name] ?? [];
  const moved = (by: number): number =>
    reference({ ...parameters, [name]: values.with(index, (values[index] ?? NaN) + by) });
  return (moved(DIFFERENCE) - moved(-DIFFERENCE)) / (2 * DIFFERENCE);
}
