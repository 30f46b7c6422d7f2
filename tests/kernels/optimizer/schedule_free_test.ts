import { describe } from "bun:test";
import { scheduleFree } from "../../../src/kernels/optimizer/schedule_free.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import type { HostArray } from "../../helpers/run_dispatch.ts";
import { scheduleFreeTwin } from "../twins/optimizer_twins.ts";
import { expectClipped, expectGated, expectSteps, type KernelCase } from "./update_steps.ts";

const HYPERPARAMETERS = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 };
const RATE = 0.01;

/** Rates that do not change, so that the newest point's share in the average is 1 / t. */
function scheduleFreeCase(rate: number): KernelCase {
  return {
    learningRate: RATE,
    behindRate: (t) => 1 / t,
    rate,
    decays: [HYPERPARAMETERS.beta2],
    slots: 3,
    twin: scheduleFreeTwin({ rates: Array(20).fill(RATE), weightDecay: 0.1 }),
    dispatch: ({ state: [parameter, v, z, average], ...rest }, sizes) =>
      scheduleFree<HostArray>({
        parameter: parameter as Float32Array,
        v: v as Float32Array,
        z: z as Float32Array,
        average: average as Float32Array,
        ...rest,
      }, { ...sizes, ...HYPERPARAMETERS }),
  };
}

describe("scheduleFree", () => {
  for (const rate of [0, 6]) {
    gpuTest(`OT-01 scheduleFree takes the twin's steps by rate ${rate} of the step`, async (gpu) => {
      await expectSteps(gpu, scheduleFreeCase(rate));
    });
  }

  gpuTest("OT-01 scheduleFree changes nothing when the verdict is 0, and clips", async (gpu) => {
    await expectGated(gpu, scheduleFreeCase(2));
    await expectClipped(gpu, scheduleFreeCase(2));
  });
});
