import { describe, expect, test } from "bun:test";
import { DataLoader } from "../../../src/data/data_loader.ts";
import * as ops from "../../../src/graph/ops.ts";
import type { Layer, Loss } from "../../../src/nn/nn.ts";
import * as optim from "../../../src/nn/optim/optim.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { expectClose } from "../../kernels/numbers.ts";
import { withTrainer } from "../../train/fixtures.ts";
import { weightsOf } from "../optim/given_gradients.ts";
import { torchCases, type TorchOptimizerCase } from "./torch_cases.ts";

/** What each of PyTorch's optimisers is called here. */
const OPTIMIZERS: Readonly<Record<string, optim.Optimizer>> = {
  sgd: optim.sgd({ learningRate: 0.05 }),
  "sgd with momentum, dampening and decay": optim.sgd({
    learningRate: 0.05,
    momentum: 0.9,
    dampening: 0.3,
    weightDecay: 0.1,
  }),
  "sgd with Nesterov's momentum": optim.sgd({ learningRate: 0.05, momentum: 0.9, nesterov: true }),
  adam: optim.adam(),
  "adam with decay": optim.adam({ learningRate: 0.01, beta1: 0.8, beta2: 0.95, weightDecay: 0.1 }),
  adamw: optim.adamw(),
  adamax: optim.adamax(),
  adagrad: optim.adagrad({ learningRateDecay: 0.1, initialAccumulatorValue: 0.2 }),
  adadelta: optim.adadelta(),
  rmsprop: optim.rmsprop(),
  "rmsprop, centered, with momentum": optim.rmsprop({ centered: true, momentum: 0.5 }),
};

/** An example is the gradient: the loss is the sum of the parameter's elements, each times its number. */
function runOf({ first, gradients }: TorchOptimizerCase, optimizer: optim.Optimizer) {
  const count = first.length;
  const initial = HostTensor.from(Float32Array.from(first), [count]);
  const model: Layer = (x, scope) =>
    ops.sum(ops.mul(x, scope.parameter("weight", [count], () => ops.constant(initial))), { axes: 1 });
  const loss: Loss = (output, labels) => ops.add(output, ops.mul(labels, 0));
  const data = DataLoader.from({
    inputs: HostTensor.from(Float32Array.from(gradients.flat()), [gradients.length, count]),
    labels: HostTensor.from(new Float32Array(gradients.length), [gradients.length]),
  }, { batchSize: 1 });
  return { model, loss, optimizer, data, seed: 4 };
}

const { optimizers } = torchCases();

describe("optimizers beside PyTorch's", () => {
  test("every case of PyTorch is one of these optimizers", () => {
    expect(optimizers.map(({ name }) => name)).toEqual(Object.keys(OPTIMIZERS));
  });

  for (const each of optimizers) {
    gpuTest(`OT-01 ${each.name} is where PyTorch's is after 20 steps`, async (gpu) => {
      const run = runOf(each, OPTIMIZERS[each.name] as optim.Optimizer);
      await withTrainer(gpu, run, async (made) => {
        await made.trainer.train({ epochs: 1, progress: false });
        const [weight] = (await weightsOf(made)).values();
        expectClose(weight ?? [], each.last, { absolute: 2e-6, relative: 2e-6 });
      });
      const moved = each.last.map((value, at) => Math.abs(value - (each.first[at] ?? NaN)));
      expect(Math.max(...moved)).toBeGreaterThan(5e-3);
    });
  }
});
