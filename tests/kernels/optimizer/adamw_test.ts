import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { adamw } from "../../../src/kernels/optimizer/adamw.ts";
import { encodeStepScalars } from "../../../src/kernels/step_scalars.ts";
import {
  encodeStepControl,
  encodeStepVerdict,
  stepVerdict,
} from "../../../src/kernels/optimizer/step_verdict.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { expectClose, expectSame, randomNumbers, SIZES } from "../numbers.ts";
import { type AdamWStep, adamwTwin } from "../twins/adamw_twin.ts";

const TOLERANCE = { absolute: 3e-7, relative: 2e-6 };
const ADAMW = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 };

type AdamWState = [parameter: Float32Array, m: Float32Array, v: Float32Array];

async function adamwStep(
  gpu: GpuDevice,
  [parameter, m, v]: AdamWState,
  gradient: Float32Array,
  step: AdamWStep,
) {
  const scalars = encodeStepScalars({ seed: 0, step: step.t, values: [step.learningRate] });
  const verdict = encodeStepVerdict({ corrections: [1 - step.beta1 ** step.t, 1 - step.beta2 ** step.t] });
  const options = { count: parameter.length, ...step };
  const dispatch = adamw<HostArray>({ parameter, gradient, m, v, scalars, verdict }, options);
  return await runDispatch(gpu, dispatch, [parameter, m, v]);
}

describe("adamw", () => {
  gpuTest("takes the twin's steps over 0 to 65537 elements", async (gpu) => {
    for (const count of SIZES) {
      let state: AdamWState = [randomNumbers(count, 1), new Float32Array(count), new Float32Array(count)];
      let twins = Array.from(state[0], (p) => ({ p, m: 0, v: 0 }));
      for (const t of [1, 2, 3]) {
        const gradient = randomNumbers(count, 10 + t).map((x) => x * 0.1);
        state = await adamwStep(gpu, state, gradient, { ...ADAMW, t });
        twins = twins.map((twin, index) => adamwTwin(twin, gradient[index] ?? NaN, { ...ADAMW, t }));
        expectClose(state[0], twins.map(({ p }) => p), TOLERANCE);
        expectClose(state[1], twins.map(({ m }) => m), TOLERANCE);
        expectClose(state[2], twins.map(({ v }) => v), TOLERANCE);
      }
    }
  });

  gpuTest("moves a parameter by the learning rate in the first step, against the gradient", async (gpu) => {
    const state: AdamWState = [Float32Array.of(1, 1), new Float32Array(2), new Float32Array(2)];
    const [parameter] = await adamwStep(gpu, state, Float32Array.of(0.1, -1e-4), { ...ADAMW, t: 1 });
    expectClose(parameter, [1 - 1e-5 - 1e-3, 1 - 1e-5 + 1e-3 * (1e-4 / (1e-4 + 1e-8))], { absolute: 1e-7 });
  });

  gpuTest("leaves zeros with zero gradients as they are, bit for bit", async (gpu) => {
    const zeros = new Float32Array(64);
    for (
      const result of await adamwStep(gpu, [zeros, zeros.slice(), zeros.slice()], zeros.slice(), {
        ...ADAMW,
        t: 1,
      })
    ) {
      expect(new Uint8Array(result.buffer).every((byte) => byte === 0)).toBe(true);
    }
  });

  gpuTest(
    "takes the twin's step by the GPU's own count of updates, also the 10^5th and the 10^6th",
    async (gpu) => {
      const scalars = encodeStepScalars({ seed: 0, step: 9, values: [ADAMW.learningRate] });
      for (const t of [1, 2, 20, 1000, 100_000, 1_000_000]) {
        const verdict = new Uint32Array(8);
        const judging = stepVerdict<HostArray>({
          partials: new Float32Array(2),
          loss: Float32Array.of(1),
          scalars,
          control: encodeStepControl({ stopped: 0, stoppedStep: 0, updates: t - 1, skipped: 0 }),
          losses: new Float32Array(64),
          verdict,
        }, { partialCount: 1, lossCount: 64, decays: [ADAMW.beta1, ADAMW.beta2] });
        const [judged] = await runDispatch(gpu, judging, [verdict]);
        const [parameter, m] = [randomNumbers(64, 1), randomNumbers(64, 2)];
        const v = randomNumbers(64, 3).map((x) => x * x);
        const gradient = randomNumbers(64, 4);
        const bindings = { parameter, gradient, m, v, scalars, verdict: judged };
        const [after] = await runDispatch(gpu, adamw<HostArray>(bindings, { count: 64 }), [parameter]);
        const twins = Array.from(
          parameter,
          (p, index) =>
            adamwTwin({ p, m: m[index] ?? NaN, v: v[index] ?? NaN }, gradient[index] ?? NaN, { ...ADAMW, t })
              .p,
        );
        expectClose(after, twins, TOLERANCE);
      }
    },
  );

  gpuTest("changes nothing where the verdict does not let it", async (gpu) => {
    const state = [1, 2, 3].map((seed) => randomNumbers(64, seed));
    const [parameter, m, v] = state as AdamWState;
    const scalars = encodeStepScalars({ seed: 0, step: 1, values: [0.1] });
    const bindings = {
      parameter,
      gradient: randomNumbers(64, 4),
      m,
      v,
      scalars,
      verdict: new Uint8Array(32),
    };
    const results = await runDispatch(gpu, adamw<HostArray>(bindings, { count: 64 }), [parameter, m, v]);
    expect(results).toEqual([parameter, m, v]);
  });

  gpuTest("keeps a NaN gradient to its own element", async (gpu) => {
    for (const count of [8, 9]) {
      const state: AdamWState = [randomNumbers(count, 2), new Float32Array(count), new Float32Array(count)];
      const gradient = randomNumbers(count, 3);
      gradient[5] = NaN;
      for (const result of await adamwStep(gpu, state, gradient, { ...ADAMW, t: 1 })) {
        expectSame(
          [...result].map((x) => Number(Number.isNaN(x))),
          state[0].map((_, index) => Number(index === 5)),
        );
      }
    }
  });

  test("refuses hyperparameters out of range", () => {
    const bindings = { parameter: "p", gradient: "g", m: "m", v: "v", scalars: "s", verdict: "d" };
    expect(adamw(bindings, { count: 0 }).workgroups).toEqual([0, 0, 0]);
    expect(() => adamw(bindings, { count: 1, epsilon: 0 })).toThrow("adamw: epsilon has to be a number from");
    expect(() => adamw(bindings, { count: 1, beta1: 1.5 })).toThrow(
      "adamw: beta1 has to be a number from 0 to 1, not 1.5",
    );
    expect(() => adamw(bindings, { count: 1, beta2: NaN })).toThrow("beta2");
    expect(() => adamw(bindings, { count: 1, weightDecay: -1 })).toThrow("weightDecay");
  });
});
