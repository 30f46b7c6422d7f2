import { describe } from "bun:test";
import { lion } from "../../../src/kernels/optimizer/lion.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import type { HostArray } from "../../helpers/run_dispatch.ts";
import { type ElementState, lionTwin } from "../twins/optimizer_twins.ts";
import { expectClipped, expectGated, expectSteps, expectZerosKept, type KernelCase } from "./update_steps.ts";

const DEFAULTS = { beta1: 0.9, beta2: 0.99, weightDecay: 0 };

function lionCase(changed: Partial<typeof DEFAULTS>): KernelCase {
  const hyperparameters = { ...DEFAULTS, ...changed };
  const { weightDecay } = hyperparameters;
  return {
    learningRate: 1e-2,

    slots: 1,
    twin: lionTwin({ lr: 1e-2, weightDecay }),
    dispatch: ({ state: [parameter, m], ...rest }, sizes) =>
      lion<HostArray>(
        { parameter: parameter as Float32Array, m: m as Float32Array, ...rest },
        { ...sizes, ...hyperparameters },
      ),
  };
}

/** Where the direction is nearly none, its sign depends on the last bit: such a gradient is made larger. */
function decided(number: number, [, m = 0]: ElementState): number {
  return Math.abs(0.9 * m + 0.1 * number) < 1e-3 ? number + 0.1 : number;
}

describe("lion", () => {
  const cases: readonly [string, KernelCase][] = [
    ["", lionCase({})],
    [" with weight decay", lionCase({ weightDecay: 0.1 })],
  ];
  for (const [name, kernel] of cases) {
    gpuTest(
      `OT-01 lion takes the twin's steps${name}`,
      async (gpu) => await expectSteps(gpu, kernel, { gradientOf: decided }),
    );
  }

  gpuTest(
    "OT-01 lion changes nothing when the verdict is 0, clips, and keeps zeros",
    async (gpu) => {
      const kernel = lionCase({ weightDecay: 0.1 });
      await expectGated(gpu, kernel);
      await expectClipped(gpu, kernel);
      await expectZerosKept(gpu, kernel);
    },
  );
});
