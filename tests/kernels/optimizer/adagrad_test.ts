import { describe } from "bun:test";
import { adagrad } from "../../../src/kernels/optimizer/adagrad.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import type { HostArray } from "../../helpers/run_dispatch.ts";
import { adagradTwin } from "../twins/optimizer_twins.ts";
import { expectClipped, expectGated, expectSteps, expectZerosKept, type KernelCase } from "./update_steps.ts";

const DEFAULTS = { rateDecay: 0, initialSum: 0, epsilon: 1e-10, weightDecay: 0 };

function adagradCase(changed: Partial<typeof DEFAULTS>): KernelCase {
  const hyperparameters = { ...DEFAULTS, ...changed };
  const { rateDecay, initialSum, weightDecay } = hyperparameters;
  return {
    learningRate: 0.01,

    slots: 1,
    twin: adagradTwin({ lr: 0.01, lrDecay: rateDecay, initial: initialSum, weightDecay }),
    dispatch: ({ state: [parameter, sum], ...rest }, sizes) =>
      adagrad<HostArray>(
        { parameter: parameter as Float32Array, sum: sum as Float32Array, ...rest },
        { ...sizes, ...hyperparameters },
      ),
  };
}

describe("adagrad", () => {
  const cases: readonly [string, KernelCase][] = [
    ["", adagradCase({})],
    [
      " with a rate that decays, sums that begin above 0, and weight decay",
      adagradCase({ rateDecay: 0.05, initialSum: 0.3, weightDecay: 0.1 }),
    ],
  ];
  for (const [name, kernel] of cases) {
    gpuTest(`OT-01 adagrad takes the twin's steps${name}`, async (gpu) => await expectSteps(gpu, kernel));
  }

  gpuTest(
    "OT-01 adagrad changes nothing when the verdict is 0, clips, and keeps zeros",
    async (gpu) => {
      const kernel = adagradCase({ weightDecay: 0.1 });
      await expectGated(gpu, kernel);
      await expectClipped(gpu, kernel);
      await expectZerosKept(gpu, kernel);
    },
  );
});
