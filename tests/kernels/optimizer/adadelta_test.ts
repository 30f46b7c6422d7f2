import { describe } from "bun:test";
import { adadelta } from "../../../src/kernels/optimizer/adadelta.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import type { HostArray } from "../../helpers/run_dispatch.ts";
import { adadeltaTwin } from "../twins/optimizer_twins.ts";
import { expectClipped, expectGated, expectSteps, expectZerosKept, type KernelCase } from "./update_steps.ts";

const DEFAULTS = { rho: 0.9, epsilon: 1e-6, weightDecay: 0 };

function adadeltaCase(changed: Partial<typeof DEFAULTS>): KernelCase {
  const hyperparameters = { ...DEFAULTS, ...changed };
  const { weightDecay } = hyperparameters;
  return {
    learningRate: 1,

    slots: 2,
    twin: adadeltaTwin({ weightDecay }),
    dispatch: ({ state: [parameter, squareAverage, deltaAverage], ...rest }, sizes) =>
      adadelta<HostArray>(
        {
          parameter: parameter as Float32Array,
          squareAverage: squareAverage as Float32Array,
          deltaAverage: deltaAverage as Float32Array,
          ...rest,
        },
        { ...sizes, ...hyperparameters },
      ),
  };
}

describe("adadelta", () => {
  const cases: readonly [string, KernelCase][] = [
    ["", adadeltaCase({})],
    [" with weight decay", adadeltaCase({ weightDecay: 0.1 })],
  ];
  for (const [name, kernel] of cases) {
    gpuTest(`OT-01 adadelta takes the twin's steps${name}`, async (gpu) => await expectSteps(gpu, kernel));
  }

  gpuTest(
    "OT-01 adadelta changes nothing when the verdict is 0, clips, and keeps zeros",
    async (gpu) => {
      const kernel = adadeltaCase({ weightDecay: 0.1 });
      await expectGated(gpu, kernel);
      await expectClipped(gpu, kernel);
      await expectZerosKept(gpu, kernel);
    },
  );
});
