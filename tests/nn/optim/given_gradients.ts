import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { DataLoader } from "../../../src/data/data_loader.ts";
import * as ops from "../../../src/graph/ops.ts";
import type { Value } from "../../../src/graph/value.ts";
import { type Layer, type Loss, normal } from "../../../src/nn/nn.ts";
import type { Optimizer } from "../../../src/nn/optim/optim.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { elementCount, type Shape } from "../../../src/tensor/shape.ts";
import type { TrainerOptions } from "../../../src/train/trainer.ts";
import { randomNumbers } from "../../kernels/numbers.ts";
import { type Fixture, withTrainer } from "../../train/fixtures.ts";
import type {
  ElementState,
  OptimizerTwin,
  TensorState,
  TensorTwin,
} from "../../kernels/twins/optimizer_twins.ts";

/** Names and shapes of parameters. */
export type Shapes = Readonly<Record<string, Shape>>;

/** Odd sizes, vectors and matrices, and more than a slab's alignment. */
export const SHAPES: Shapes = {
  "encoder.weight": [5, 3],
  "encoder.bias": [5],
  "norm.weight": [7],
  "head.weight": [3, 65],
  "head.bias": [1],
};

const STEPS = 20;

/** A model whose output is the sum of its parameters, each element times a number of the example. */
function weightedSum(shapes: Shapes): Layer {
  return (x, scope) => {
    let at = 0;
    let total: Value | undefined;
    for (const [path, shape] of Object.entries(shapes)) {
      const names = path.split(".");
      const name = names.pop() ?? path;
      const parameter = names.reduce((inner, each) => inner.child(each), scope).parameter(
        name,
        shape,
        normal(1),
      );
      const count = elementCount(shape);
      const numbers = ops.slice(x, { axis: 1, start: at, end: at + count });
      const sum = ops.sum(ops.mul(numbers, ops.reshape(parameter, [1, count])), { axes: 1 });
      total = total === undefined ? sum : ops.add(total, sum);
      at += count;
    }
    if (total === undefined) throw new Error("A model has a parameter");
    return total;
  };
}

const outputAsLoss: Loss = (output, labels) => ops.add(output, ops.mul(labels, 0));

/** A run in which the gradient of step t is example t, whatever the parameters are. */
export function runOf(
  optimizer: Optimizer,
  shapes: Shapes = SHAPES,
  overrides: Partial<TrainerOptions> = {},
): TrainerOptions {
  const width = widthOf(shapes);
  const inputs = Array.from({ length: STEPS }, (_, step) => [...gradientsOf(shapes, step)]).flat();
  return {
    model: weightedSum(shapes),
    loss: outputAsLoss,
    optimizer,
    data: DataLoader.from({
      inputs: HostTensor.from(Float32Array.from(inputs), [STEPS, width]),
      labels: HostTensor.from(new Float32Array(STEPS), [STEPS]),
    }, { batchSize: 1 }),
    seed: 4,
    ...overrides,
  };
}

/** All gradients of step `step`, one parameter behind the other: of about one size each, so that signs are certain. */
function gradientsOf(shapes: Shapes, step: number): Float32Array {
  return randomNumbers(widthOf(shapes), 100 + step).map((number) => number + Math.sign(number) * 0.1);
}

function widthOf(shapes: Shapes): number {
  return Object.values(shapes).reduce((sum, shape) => sum + elementCount(shape), 0);
}

/** The gradient of `name` in step `step`. */
export function gradientOf(name: string, step: number, shapes: Shapes = SHAPES): Float32Array {
  const all = gradientsOf(shapes, step);
  let at = 0;
  for (const [other, shape] of Object.entries(shapes)) {
    const count = elementCount(shape);
    if (other === name) return all.slice(at, at + count);
    at += count;
  }
  throw new Error(`No parameter ${name}`);
}

/** Parameters by their names in the model. */
export type Weights = ReadonlyMap<string, Float32Array>;

/** The parameters of a run as they are now. */
export async function weightsOf({ store }: Fixture, group = "model"): Promise<Weights> {
  const names = store.group(group).tensors.map(({ name }) => name);
  const read = await store.read(names);
  return new Map(
    [...read].map(([name, tensor]) => [name.slice(group.length + 1), tensor.toArray() as Float32Array]),
  );
}

/** The parameters before the first step of a run and after its 20. */
export async function trained(
  gpu: GpuDevice,
  options: TrainerOptions,
  look: (made: Fixture) => Promise<void> = () => Promise.resolve(),
): Promise<{ readonly before: Weights; readonly after: Weights }> {
  return await withTrainer(gpu, options, async (made) => {
    // An evaluation gives the parameters their first values.
    await made.trainer.evaluate(options.data);
    const before = await weightsOf(made);
    await made.trainer.train({ epochs: 1, progress: false });
    await look(made);
    return { before, after: await weightsOf(made) };
  });
}

/** The same of a twin that looks at a tensor as a whole. */
export function tensorTwinOf(
  twin: TensorTwin,
  name: string,
  before: Weights,
  shapes: Shapes = SHAPES,
): Float64Array {
  let state: TensorState = [Float64Array.from(before.get(name) ?? [])];
  for (let step = 0; step < STEPS; step++) {
    state = twin(state, Float64Array.from(gradientOf(name, step, shapes)), step + 1, shapes[name]?.[0] ?? 1);
  }
  return state[0];
}

/** What the twin makes of `before`, the first values of the parameter `name`, in the same 20 steps. */
export function twinOf(
  twin: OptimizerTwin,
  name: string,
  before: Weights,
  shapes: Shapes = SHAPES,
  clipped: (gradient: number, step: number) => number = (gradient) => gradient,
): Float64Array {
  return Float64Array.from(statesOf(twin, name, before, shapes, clipped), ([p]) => p);
}

/** The same with the slots: the state of each element. */
export function statesOf(
  twin: OptimizerTwin,
  name: string,
  before: Weights,
  shapes: Shapes = SHAPES,
  clipped: (gradient: number, step: number) => number = (gradient) => gradient,
): readonly ElementState[] {
  let states = Array.from(before.get(name) ?? [], (p): ElementState => [p]);
  for (let step = 0; step < STEPS; step++) {
    const gradient = gradientOf(name, step, shapes);
    states = states.map((state, index) => twin(state, clipped(gradient[index] ?? NaN, step), step + 1));
  }
  return states;
}
