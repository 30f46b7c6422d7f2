import { describe } from "bun:test";
import { rmsprop } from "../../../src/kernels/optimizer/rmsprop.ts";
import { encodeStepVerdict } from "../../../src/kernels/optimizer/step_verdict.ts";
import { encodeStepScalars } from "../../../src/kernels/step_scalars.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { expectClose } from "../numbers.ts";
import { type ElementState, rmspropTwin } from "../twins/optimizer_twins.ts";
import { expectClipped, expectGated, expectSteps, expectZerosKept, type KernelCase } from "./update_steps.ts";

const DEFAULTS = { alpha: 0.99, epsilon: 1e-8, weightDecay: 0, momentum: 0, centered: false };

function rmspropCase(changed: Partial<typeof DEFAULTS>): KernelCase {
  const { centered, ...hyperparameters } = { ...DEFAULTS, ...changed };
  const { momentum, weightDecay, alpha } = hyperparameters;
  return {
    learningRate: 1e-3,
    slots: 1 + Number(centered) + Number(momentum > 0),
    twin: rmspropTwin({ lr: 1e-3, alpha, momentum, weightDecay, centered }),
    dispatch: ({ state: [parameter, squareAverage, ...slots], ...rest }, sizes) => {
      const gradientAverage = centered ? slots.shift() : undefined;
      const bindings = {
        squareAverage: squareAverage as Float32Array,
        gradientAverage,
        velocity: slots.shift(),
      };
      return rmsprop<HostArray>(
        { parameter: parameter as Float32Array, ...bindings, ...rest },
        { ...sizes, ...hyperparameters },
      );
    },
  };
}

const EVERYTHING = rmspropCase({ centered: true, momentum: 0.9, weightDecay: 0.1, alpha: 0.9 });

/**
 * The first direction is the sign of gradient and decay together: where they nearly cancel, its size is that of their
 * rounding errors. Such a gradient is made larger.
 */
function decided(number: number, [p]: ElementState): number {
  return Math.abs(number + 0.1 * p) < 0.02 ? number + 0.1 : number;
}

describe("rmsprop", () => {
  const cases: readonly [string, KernelCase][] = [
    ["plain", rmspropCase({})],
    ["with momentum and weight decay", rmspropCase({ momentum: 0.9, weightDecay: 0.1 })],
    ["centered", rmspropCase({ centered: true })],
    ["centered, with momentum and weight decay", EVERYTHING],
  ];
  for (const [name, kernel] of cases) {
    gpuTest(
      `OT-01 rmsprop takes the twin's steps ${name}`,
      async (gpu) => await expectSteps(gpu, kernel, { gradientOf: decided }),
    );
  }

  gpuTest(
    "OT-01 rmsprop changes nothing when the verdict is 0, clips, and keeps zeros",
    async (gpu) => {
      await expectGated(gpu, EVERYTHING);
      await expectClipped(gpu, EVERYTHING);
      await expectZerosKept(gpu, EVERYTHING);
    },
  );

  gpuTest(
    "OT-01 rmsprop, centered, makes no NaN of a variance that rounding leaves below zero",
    async (gpu) => {
      const count = 64;
      const gradient = Float32Array.from({ length: count }, (_, index) => 0.1 + index / 7);
      // As after many steps with the same gradient: the mean's square is, rounded, just above the mean square.
      const gradientAverage = gradient.slice();
      const squareAverage = gradient.map((g) => Math.fround(g * g) * (1 - 2 ** -20));
      const parameter = new Float32Array(count);
      const dispatch = rmsprop<HostArray>({
        parameter,
        gradient,
        squareAverage,
        gradientAverage,
        scalars: encodeStepScalars({ seed: 0, step: 0, values: [2 ** -20] }),
        verdict: encodeStepVerdict(),
      }, { count, alpha: 0.99, epsilon: 1, weightDecay: 0, momentum: 0 });
      const [after] = await runDispatch(gpu, dispatch, [parameter]);
      expectClose(after, gradient.map((g) => -(2 ** -20) * g), { relative: 1e-5 });
    },
  );
});
