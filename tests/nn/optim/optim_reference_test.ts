import { describe, expect } from "bun:test";
import * as optim from "../../../src/nn/optim/optim.ts";
import type { Optimizer } from "../../../src/nn/optim/optim.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { expectClose } from "../../kernels/numbers.ts";
import {
  adadeltaTwin,
  adagradTwin,
  adamaxTwin,
  adamTwin,
  lionTwin,
  type OptimizerTwin,
  rmspropTwin,
  sgdTwin,
} from "../../kernels/twins/optimizer_twins.ts";
import { runOf, SHAPES, trained, twinOf } from "./given_gradients.ts";

/** Each optimiser as a user calls it, with a twin in float64 that is told the defaults anew. */
const OPTIMIZERS: Readonly<Record<string, readonly [Optimizer, OptimizerTwin]>> = {
  "sgd with momentum, dampening and decay": [
    optim.sgd({ learningRate: 0.05, momentum: 0.9, dampening: 0.3, weightDecay: 0.1 }),
    sgdTwin({ lr: 0.05, momentum: 0.9, dampening: 0.3, weightDecay: 0.1 }),
  ],
  "sgd with Nesterov's momentum": [
    optim.sgd({ learningRate: 0.05, momentum: 0.9, nesterov: true }),
    sgdTwin({ lr: 0.05, momentum: 0.9, nesterov: true }),
  ],
  adam: [optim.adam({ weightDecay: 0.01 }), adamTwin({ lr: 1e-3, weightDecay: 0.01 })],
  adamw: [optim.adamw(), adamTwin({ lr: 1e-3, weightDecay: 0.01, isDecoupled: true })],
  adamax: [optim.adamax(), adamaxTwin({ lr: 2e-3 })],
  adagrad: [
    optim.adagrad({ learningRateDecay: 0.1, initialAccumulatorValue: 0.2 }),
    adagradTwin({ lr: 0.01, lrDecay: 0.1, initial: 0.2 }),
  ],
  adadelta: [optim.adadelta(), adadeltaTwin({})],
  rmsprop: [optim.rmsprop(), rmspropTwin({ lr: 0.01 })],
  "rmsprop, centered, with momentum": [
    optim.rmsprop({ centered: true, momentum: 0.5 }),
    rmspropTwin({ lr: 0.01, centered: true, momentum: 0.5 }),
  ],
  lion: [optim.lion({ learningRate: 0.01, weightDecay: 0.1 }), lionTwin({ lr: 0.01, weightDecay: 0.1 })],
};

describe("every optimizer", () => {
  for (const [name, [optimizer, twin]] of Object.entries(OPTIMIZERS)) {
    gpuTest(`OT-01 ${name} goes 20 steps as in float64, twice with equal bits`, async (gpu) => {
      const { before, after } = await trained(gpu, runOf(optimizer));
      const moved: number[] = [];
      for (const parameter of Object.keys(SHAPES)) {
        const expected = twinOf(twin, parameter, before);
        expectClose(after.get(parameter) ?? [], expected, { absolute: 2e-6, relative: 2e-6 });
        moved.push(
          ...expected.map((value, index) => Math.abs(value - (before.get(parameter)?.[index] ?? NaN))),
        );
      }
      // By more than the tolerance.
      expect(Math.max(...moved)).toBeGreaterThan(5e-3);
      expect((await trained(gpu, runOf(optimizer))).after).toEqual(after);
    });
  }
});
