import { describe } from "bun:test";
import { adam, type AdamHyperparameters } from "../../../src/kernels/optimizer/adam.ts";
import {
  encodeStepControl,
  encodeStepVerdict,
  STEP_VERDICT_BYTES,
  stepVerdict,
} from "../../../src/kernels/optimizer/step_verdict.ts";
import { encodeStepScalars } from "../../../src/kernels/step_scalars.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { expectClose, expectSame, randomNumbers } from "../numbers.ts";
import { adamTwin } from "../twins/optimizer_twins.ts";
import { expectClipped, expectGated, expectSteps, expectZerosKept, type KernelCase } from "./update_steps.ts";

type Changed = Partial<Omit<AdamHyperparameters, "count">>;

const ADAMW = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, decay: "decoupled" as const };

function adamCase(changed: Changed = {}, rate = 0): KernelCase {
  const hyperparameters = { ...ADAMW, ...changed };
  const { beta1, beta2, epsilon: eps, weightDecay, decay } = hyperparameters;
  return {
    learningRate: 1e-3,
    rate,
    decays: [beta1, beta2],
    slots: 2,
    twin: adamTwin({ lr: 1e-3, beta1, beta2, eps, weightDecay, isDecoupled: decay === "decoupled" }),
    dispatch: ({ state: [parameter, m, v], ...rest }, sizes) =>
      adam<HostArray>({
        parameter: parameter as Float32Array,
        m: m as Float32Array,
        v: v as Float32Array,
        ...rest,
      }, { ...sizes, ...hyperparameters }),
  };
}

describe("adam", () => {
  const cases: readonly [string, KernelCase][] = [
    ["adamw takes the twin's steps", adamCase()],
    [
      "adam takes the twin's steps, its decay in the gradient",
      adamCase({ decay: "coupled", weightDecay: 0.1 }),
    ],
    [
      "adam takes the twin's steps with other betas, by the fourth of the step's rates",
      adamCase({ beta1: 0.5, beta2: 0.7, decay: "coupled" }, 3),
    ],
  ];
  for (const [name, kernel] of cases) {
    gpuTest(`OT-01 ${name}`, async (gpu) => await expectSteps(gpu, kernel));
  }

  gpuTest(
    "OT-01 adamw changes nothing when the verdict is 0, clips, and keeps zeros",
    async (gpu) => {
      await expectGated(gpu, adamCase());
      await expectClipped(gpu, adamCase());
      await expectZerosKept(gpu, adamCase());
    },
  );

  gpuTest(
    "takes the twin's step by the GPU's own count of updates, also the 10^5th and the 10^6th",
    async (gpu) => {
      const scalars = encodeStepScalars({ seed: 0, step: 9, values: [1e-3] });
      for (const t of [1, 2, 20, 1000, 100_000, 1_000_000]) {
        const verdict = new Uint8Array(STEP_VERDICT_BYTES);
        const judging = stepVerdict<HostArray>({
          partials: new Float32Array(2),
          loss: Float32Array.of(1),
          scalars,
          control: encodeStepControl({ stopped: 0, stoppedStep: 0, updates: t - 1, skipped: 0 }),
          losses: new Float32Array(64),
          verdict,
        }, { partialCount: 1, lossCount: 64, decays: [0.9, 0.999] });
        const [judged] = await runDispatch(gpu, judging, [verdict]);
        const [parameter, m] = [randomNumbers(64, 1), randomNumbers(64, 2)];
        const v = randomNumbers(64, 3).map((x) => x * x);
        const gradient = randomNumbers(64, 4);
        const bindings = { parameter, gradient, m, v, scalars, verdict: judged };
        const [after] = await runDispatch(gpu, adam<HostArray>(bindings, { count: 64, ...ADAMW }), [
          parameter,
        ]);
        const twin = adamTwin({ lr: 1e-3, weightDecay: 0.01, isDecoupled: true });
        const twins = Array.from(
          parameter,
          (p, index) => twin([p, m[index] ?? NaN, v[index] ?? NaN], gradient[index] ?? NaN, t)[0],
        );
        expectClose(after, twins, { absolute: 3e-7, relative: 2e-6 });
      }
    },
  );

  gpuTest("keeps a NaN gradient to its own element", async (gpu) => {
    const scalars = encodeStepScalars({ seed: 0, step: 1, values: [1e-3] });
    for (const count of [8, 9]) {
      const state = [randomNumbers(count, 2), new Float32Array(count), new Float32Array(count)] as const;
      const [parameter, m, v] = state;
      const gradient = randomNumbers(count, 3);
      gradient[5] = NaN;
      const verdict = encodeStepVerdict({ corrections: [0.1, 0.001] });
      const bindings = { parameter, m, v, gradient, scalars, verdict };
      for (
        const result of await runDispatch(gpu, adam<HostArray>(bindings, { count, ...ADAMW }), [...state])
      ) {
        expectSame(
          [...result].map((x) => Number(Number.isNaN(x))),
          parameter.map((_, index) => Number(index === 5)),
        );
      }
    }
  });
});
