import { describe, expect, test } from "bun:test";
import { sgd } from "../../../src/kernels/optimizer/sgd.ts";
import { encodeStepVerdict } from "../../../src/kernels/optimizer/step_verdict.ts";
import { encodeStepScalars } from "../../../src/kernels/step_scalars.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { expectSame } from "../numbers.ts";
import { sgdTwin } from "../twins/optimizer_twins.ts";
import { expectClipped, expectGated, expectSteps, expectZerosKept, type KernelCase } from "./update_steps.ts";

const PLAIN = { momentum: 0, dampening: 0, nesterov: false, weightDecay: 0 };

function sgdCase(changed: Partial<typeof PLAIN>, rate = 0): KernelCase {
  const hyperparameters = { ...PLAIN, ...changed };
  return {
    learningRate: 0.1,
    rate,
    slots: hyperparameters.momentum > 0 ? 1 : 0,
    twin: sgdTwin({ lr: 0.1, ...hyperparameters }),
    dispatch: ({ state: [parameter, velocity], ...rest }, sizes) =>
      sgd<HostArray>({ parameter: parameter as Float32Array, velocity, ...rest }, {
        ...sizes,
        ...hyperparameters,
      }),
  };
}

const NESTEROV = sgdCase({ momentum: 0.9, nesterov: true, weightDecay: 0.01 }, 5);
const BINDINGS = { parameter: "p", gradient: "g", scalars: "s", verdict: "d" };

describe("sgd", () => {
  const cases: readonly [string, KernelCase][] = [
    ["plain", sgdCase({})],
    ["with weight decay", sgdCase({ weightDecay: 0.01 })],
    ["with momentum", sgdCase({ momentum: 0.9 })],
    [
      "with momentum and dampening, which the first step has none of",
      sgdCase({ momentum: 0.9, dampening: 0.4 }),
    ],
    ["with Nesterov's momentum and weight decay, and the sixth of the step's rates", NESTEROV],
  ];
  for (const [name, kernel] of cases) {
    gpuTest(`OT-01 sgd takes the twin's steps ${name}`, async (gpu) => await expectSteps(gpu, kernel));
  }

  gpuTest(
    "OT-01 sgd changes nothing when the verdict is 0, clips, and keeps zeros",
    async (gpu) => {
      await expectGated(gpu, NESTEROV);
      await expectClipped(gpu, NESTEROV);
      await expectZerosKept(gpu, NESTEROV);
    },
  );

  gpuTest("keeps NaN and infinity to their own elements", async (gpu) => {
    const scalars = encodeStepScalars({ seed: 0, step: 0, values: [0.5] });
    const parameter = Float32Array.of(1, 2, 3, 4, 5);
    const gradient = Float32Array.of(1, NaN, Infinity, 0, 2);
    const bindings = { parameter, gradient, scalars, verdict: encodeStepVerdict() };
    const [result] = await runDispatch(gpu, sgd<HostArray>(bindings, { count: 5, ...PLAIN }), [parameter]);
    expectSame(result, [0.5, NaN, -Infinity, 4, 4]);
  });

  gpuTest("leaves an infinite parameter infinite when nothing decays", async (gpu) => {
    const scalars = encodeStepScalars({ seed: 0, step: 0, values: [0.5] });
    for (const parameter of [Float32Array.of(Infinity, -Infinity, 3, 4), Float32Array.of(Infinity)]) {
      const gradient = parameter.map(() => 2);
      const bindings = { parameter, gradient, scalars, verdict: encodeStepVerdict() };
      const dispatch = sgd<HostArray>(bindings, { count: parameter.length, ...PLAIN });
      expectSame((await runDispatch(gpu, dispatch, [parameter]))[0], parameter.map((p) => p - 1));
    }
  });

  test("refuses momentum without velocity, the reverse, and an invalid count", () => {
    expect(sgd(BINDINGS, { count: 0, ...PLAIN }).workgroups).toEqual([0, 0, 0]);
    expect(() => sgd(BINDINGS, { count: 1, ...PLAIN, momentum: 0.9 })).toThrow(
      "momentum is 0.9, and velocity is missing",
    );
    expect(() => sgd({ ...BINDINGS, velocity: "v" }, { count: 1, ...PLAIN })).toThrow(
      "momentum is 0, and velocity is bound",
    );
    expect(() => sgd(BINDINGS, { count: 1.5, ...PLAIN })).toThrow("sgd: count has to be a whole number");
  });
});
