import { describe, expect } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { encodeStepScalars } from "../../../src/kernels/step_scalars.ts";
import {
  decodeStepControl,
  encodeStepControl,
  type NonFinitePolicy,
  POLICY_NUMBERS,
  STEP_VERDICT_BYTES,
  type StepControl,
  stepVerdict,
} from "../../../src/kernels/optimizer/step_verdict.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { expectClose } from "../numbers.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";

const FRESH: StepControl = { stopped: 0, stoppedStep: 0, updates: 4, skipped: 1 };

interface Case {
  readonly loss?: number;
  /** The largest gradient. */
  readonly gradient?: number;
  readonly policy?: NonFinitePolicy;
  readonly control?: StepControl;
  readonly clipNorm?: number;
  readonly clipValue?: number;
}

/** Step number 5 of a ring of 4 losses, which are 10, 11, 12, 13. */
async function judged(gpu: GpuDevice, given: Case) {
  const { loss = 2, gradient = 0.5, policy = "stop", control = FRESH, clipNorm, clipValue } = given;
  const scalars = encodeStepScalars({ seed: 0, step: 5, values: [], policy: POLICY_NUMBERS[policy] });
  const losses = Float32Array.of(10, 11, 12, 13);
  const norms = Float32Array.of(20, 21, 22, 23);
  const partials = new Float32Array(2 * 3);
  partials.set([Math.abs(gradient), 0.25], 2);
  const [verdict, words] = [new Uint32Array(STEP_VERDICT_BYTES / 4), encodeStepControl(control)];
  const dispatch = stepVerdict<HostArray>(
    { partials, loss: Float32Array.of(loss), scalars, control: words, losses, verdict, norms },
    { partialCount: 3, lossCount: 4, decays: [0.5], clipNorm, clipValue },
  );
  const [left, kept, after, norm] = await runDispatch(gpu, dispatch, [verdict, losses, words, norms]);
  const floats = new Float32Array(left.buffer);
  return {
    applies: left[0],
    updates: left[1],
    squares: floats[3],
    correction: floats[4],
    scale: floats[8],
    limit: floats[9],
    losses: [...kept],
    norms: [...norm],
    control: decodeStepControl(new Uint8Array(after.buffer)),
  };
}

describe("stepVerdict", () => {
  gpuTest("lets a finite step through, counts it and keeps its loss", async (gpu) => {
    expect(await judged(gpu, {})).toEqual({
      applies: 1,
      updates: 5,
      squares: 0.25,
      correction: 1 - 0.5 ** 5,
      scale: 1,
      limit: 0,
      losses: [10, 2, 12, 13],
      norms: [20, 0.5, 22, 23],
      control: { ...FRESH, updates: 5 },
    });
  });

  gpuTest("under stop, a step that is not finite changes what stopped it and nothing else", async (gpu) => {
    for (const values of [{ loss: NaN }, { loss: -Infinity }, { gradient: Infinity }, { gradient: NaN }]) {
      const { applies, losses, norms, control } = await judged(gpu, values);
      expect(applies).toBe(0);
      expect(losses).toEqual([10, 11, 12, 13]);
      expect(norms).toEqual([20, 21, 22, 23]);
      expect(control).toEqual({ ...FRESH, stopped: 1, stoppedStep: 5 });
    }
  });

  gpuTest(
    "after a stop nothing changes, however finite the steps are, and whatever their policy",
    async (gpu) => {
      const control = { ...FRESH, stopped: 1, stoppedStep: 3 };
      for (
        const values of [{}, { loss: NaN }, { policy: "skip" as const }, {
          loss: NaN,
          policy: "skip" as const,
        }]
      ) {
        const found = await judged(gpu, { ...values, control });
        expect(found.applies).toBe(0);
        expect(found.losses).toEqual([10, 11, 12, 13]);
        expect(found.control).toEqual(control);
      }
    },
  );

  gpuTest("under skip, a step that is not finite is counted as skipped, and its loss is NaN", async (gpu) => {
    for (const values of [{ loss: Infinity }, { gradient: NaN }]) {
      const { applies, losses, norms, control } = await judged(gpu, { ...values, policy: "skip" });
      expect(applies).toBe(0);
      expect(losses).toEqual([10, NaN, 12, 13]);
      expect(norms).toEqual([20, NaN, 22, 23]);
      expect(control).toEqual({ ...FRESH, skipped: 2 });
    }
  });

  gpuTest("the largest finite loss and gradient are finite", async (gpu) => {
    const largest = 3.4028234663852886e38;
    expect((await judged(gpu, { loss: -largest, gradient: largest })).applies).toBe(1);
  });

  gpuTest("OT-03 scales gradients down to a norm, and says which magnitude is the largest", async (gpu) => {
    // The sum of squares is 0.25.
    const scaleOf = async (clipNorm: number) => (await judged(gpu, { clipNorm })).scale ?? NaN;
    expectClose([await scaleOf(0.125)], [0.125 / (0.5 + 1e-6)], { relative: 1e-6 });
    expect(await scaleOf(0.75)).toBe(1);
    expect(await scaleOf(Infinity)).toBe(1);
    expect((await judged(gpu, { clipValue: 0.25 })).limit).toBe(0.25);
  });
});
