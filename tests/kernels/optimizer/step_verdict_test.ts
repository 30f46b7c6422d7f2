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
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";

const FRESH: StepControl = { stopped: 0, stoppedStep: 0, updates: 4, skipped: 1 };

interface Case {
  readonly loss?: number;
  /** The largest gradient. */
  readonly gradient?: number;
  readonly policy?: NonFinitePolicy;
  readonly control?: StepControl;
}

/** Step number 5 of a ring of 4 losses, which are 10, 11, 12, 13. */
async function judged(gpu: GpuDevice, { loss = 2, gradient = 0.5, policy = "stop", control = FRESH }: Case) {
  const scalars = encodeStepScalars({ seed: 0, step: 5, values: [], policy: POLICY_NUMBERS[policy] });
  const losses = Float32Array.of(10, 11, 12, 13);
  const partials = new Float32Array(2 * 3);
  partials.set([Math.abs(gradient), 0.25], 2);
  const [verdict, words] = [new Uint32Array(STEP_VERDICT_BYTES / 4), encodeStepControl(control)];
  const dispatch = stepVerdict<HostArray>(
    { partials, loss: Float32Array.of(loss), scalars, control: words, losses, verdict },
    { partialCount: 3, lossCount: 4, decays: [0.5] },
  );
  const [left, kept, after] = await runDispatch(gpu, dispatch, [verdict, losses, words]);
  const floats = new Float32Array(left.buffer);
  return {
    applies: left[0],
    updates: left[1],
    squares: floats[3],
    correction: floats[4],
    losses: [...kept],
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
      losses: [10, 2, 12, 13],
      control: { ...FRESH, updates: 5 },
    });
  });

  gpuTest("under stop, a step that is not finite changes what stopped it and nothing else", async (gpu) => {
    for (const values of [{ loss: NaN }, { loss: -Infinity }, { gradient: Infinity }, { gradient: NaN }]) {
      const { applies, losses, control } = await judged(gpu, values);
      expect(applies).toBe(0);
      expect(losses).toEqual([10, 11, 12, 13]);
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
      const { applies, losses, control } = await judged(gpu, { ...values, policy: "skip" });
      expect(applies).toBe(0);
      expect(losses).toEqual([10, NaN, 12, 13]);
      expect(control).toEqual({ ...FRESH, skipped: 2 });
    }
  });

  gpuTest("the largest finite loss and gradient are finite", async (gpu) => {
    const largest = 3.4028234663852886e38;
    expect((await judged(gpu, { loss: -largest, gradient: largest })).applies).toBe(1);
  });
});
