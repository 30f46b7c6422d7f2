import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { sgd } from "../../../src/kernels/optimizer/sgd.ts";
import { encodeStepScalars } from "../../../src/kernels/step_scalars.ts";
import { encodeStepVerdict } from "../../../src/kernels/optimizer/step_verdict.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { expectClose, expectSame, randomNumbers, SIZES } from "../numbers.ts";
import { type SgdStep, sgdTwin } from "../twins/sgd_twin.ts";

const VERDICT = encodeStepVerdict();
const TOLERANCE = { absolute: 3e-7, relative: 2e-6 };
const PLAIN: SgdStep = { learningRate: 0.1, momentum: 0, nesterov: false, weightDecay: 0 };
const KINDS: readonly SgdStep[] = [
  PLAIN,
  { ...PLAIN, weightDecay: 0.01 },
  { ...PLAIN, momentum: 0.9 },
  { ...PLAIN, momentum: 0.9, nesterov: true, weightDecay: 0.01 },
];

/** Steps the kernel three times beside its twin. */
async function expectSgd(gpu: GpuDevice, count: number, kind: SgdStep): Promise<void> {
  const scalars = encodeStepScalars({ seed: 0, step: 0, values: [kind.learningRate] });
  let parameter = randomNumbers(count, 1);
  let velocity = new Float32Array(count);
  let twins = Array.from(parameter, (p) => ({ p, velocity: 0 }));
  for (const t of [1, 2, 3]) {
    const gradient = randomNumbers(count, 20 + t);
    const hasMomentum = kind.momentum > 0;
    const bindings = {
      parameter,
      gradient,
      scalars,
      verdict: VERDICT,
      velocity: hasMomentum ? velocity : undefined,
    };
    const dispatch = sgd<HostArray>(bindings, { count, ...kind });
    if (hasMomentum) [parameter, velocity] = await runDispatch(gpu, dispatch, [parameter, velocity]);
    else [parameter] = await runDispatch(gpu, dispatch, [parameter]);
    twins = twins.map((twin, index) => sgdTwin(twin, gradient[index] ?? NaN, kind));
    expectClose(parameter, twins.map(({ p }) => p), TOLERANCE);
    if (hasMomentum) expectClose(velocity, twins.map((twin) => twin.velocity), TOLERANCE);
  }
}

describe("sgd", () => {
  gpuTest("takes the twin's steps: plain, with weight decay, with momentum, with Nesterov's", async (gpu) => {
    for (const kind of KINDS) {
      await expectSgd(gpu, 64, kind);
      await expectSgd(gpu, 63, kind);
    }
  });

  gpuTest("steps over 0 to 65537 elements", async (gpu) => {
    for (const count of SIZES) await expectSgd(gpu, count, { ...PLAIN, momentum: 0.9, weightDecay: 0.01 });
  });

  gpuTest("changes nothing where the verdict does not let it", async (gpu) => {
    const [parameter, velocity] = [randomNumbers(64, 1), randomNumbers(64, 2)];
    const scalars = encodeStepScalars({ seed: 0, step: 0, values: [0.1] });
    const bindings = {
      parameter,
      gradient: randomNumbers(64, 3),
      scalars,
      verdict: new Uint8Array(32),
      velocity,
    };
    const dispatch = sgd<HostArray>(bindings, { count: 64, momentum: 0.9, weightDecay: 0.1 });
    expect(await runDispatch(gpu, dispatch, [parameter, velocity])).toEqual([parameter, velocity]);
  });

  gpuTest("keeps NaN and infinity to their own elements", async (gpu) => {
    const scalars = encodeStepScalars({ seed: 0, step: 0, values: [0.5] });
    const parameter = Float32Array.of(1, 2, 3, 4, 5);
    const gradient = Float32Array.of(1, NaN, Infinity, 0, 2);
    const [result] = await runDispatch(
      gpu,
      sgd<HostArray>({ parameter, gradient, scalars, verdict: VERDICT }, { count: 5 }),
      [
        parameter,
      ],
    );
    expectSame(result, [0.5, NaN, -Infinity, 4, 4]);
  });

  gpuTest("leaves an infinite parameter infinite when nothing decays", async (gpu) => {
    const scalars = encodeStepScalars({ seed: 0, step: 0, values: [0.5] });
    for (const parameter of [Float32Array.of(Infinity, -Infinity, 3, 4), Float32Array.of(Infinity)]) {
      const gradient = parameter.map(() => 2);
      const bindings = { parameter, gradient, scalars, verdict: VERDICT };
      const dispatch = sgd<HostArray>(bindings, { count: parameter.length });
      expectSame((await runDispatch(gpu, dispatch, [parameter]))[0], parameter.map((p) => p - 1));
    }
  });

  test("refuses momentum without velocity, the reverse, and hyperparameters out of range", () => {
    const bindings = { parameter: "p", gradient: "g", scalars: "s", verdict: "d" };
    expect(sgd(bindings, { count: 0 }).workgroups).toEqual([0, 0, 0]);
    expect(() => sgd(bindings, { count: 1, momentum: 0.9 })).toThrow(
      "momentum is 0.9, and velocity is missing",
    );
    expect(() => sgd({ ...bindings, velocity: "v" }, { count: 1 })).toThrow(
      "momentum is 0, and velocity is bound",
    );
    expect(() => sgd(bindings, { count: 1, nesterov: true })).toThrow("nesterov needs momentum");
    expect(() => sgd(bindings, { count: 1, weightDecay: NaN })).toThrow("weightDecay");
  });
});
