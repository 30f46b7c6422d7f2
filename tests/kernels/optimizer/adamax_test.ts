import { describe } from "bun:test";
import { adamax } from "../../../src/kernels/optimizer/adamax.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import type { HostArray } from "../../helpers/run_dispatch.ts";
import { adamaxTwin } from "../twins/optimizer_twins.ts";
import { expectClipped, expectGated, expectSteps, expectZerosKept, type KernelCase } from "./update_steps.ts";

const DEFAULTS = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 };

function adamaxCase(changed: Partial<typeof DEFAULTS>): KernelCase {
  const hyperparameters = { ...DEFAULTS, ...changed };
  const { weightDecay } = hyperparameters;
  return {
    learningRate: 2e-3,
    decays: [0.9],
    slots: 2,
    twin: adamaxTwin({ lr: 2e-3, weightDecay }),
    dispatch: ({ state: [parameter, m, norm], ...rest }, sizes) =>
      adamax<HostArray>(
        { parameter: parameter as Float32Array, m: m as Float32Array, norm: norm as Float32Array, ...rest },
        { ...sizes, ...hyperparameters },
      ),
  };
}

describe("adamax", () => {
  const cases: readonly [string, KernelCase][] = [
    ["", adamaxCase({})],
    [" with weight decay", adamaxCase({ weightDecay: 0.1 })],
  ];
  for (const [name, kernel] of cases) {
    gpuTest(`OT-01 adamax takes the twin's steps${name}`, async (gpu) => await expectSteps(gpu, kernel));
  }

  gpuTest(
    "OT-01 adamax changes nothing when the verdict is 0, clips, and keeps zeros",
    async (gpu) => {
      const kernel = adamaxCase({ weightDecay: 0.1 });
      await expectGated(gpu, kernel);
      await expectClipped(gpu, kernel);
      await expectZerosKept(gpu, kernel);
    },
  );
});
