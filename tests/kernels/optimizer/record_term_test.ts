import { describe, expect } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { recordTerm } from "../../../src/kernels/optimizer/record_term.ts";
import {
  encodeStepControl,
  encodeStepVerdict,
  STEP_VERDICT_BYTES,
} from "../../../src/kernels/optimizer/step_verdict.ts";
import { encodeStepScalars } from "../../../src/kernels/step_scalars.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";

/** A ring of 4 numbers after step number 6, whose number is 2. */
async function recorded(gpu: GpuDevice, { applies, stopped }: { applies: boolean; stopped: number }) {
  const ring = Float32Array.of(10, 11, 12, 13);
  const dispatch = recordTerm<HostArray>({
    term: Float32Array.of(2),
    scalars: encodeStepScalars({ seed: 0, step: 6, values: [] }),
    control: encodeStepControl({ stopped, stoppedStep: 0, updates: 6, skipped: 0 }),
    verdict: applies ? encodeStepVerdict() : new Uint8Array(STEP_VERDICT_BYTES),
    ring,
  }, { ringCount: 4 });
  const [kept] = await runDispatch(gpu, dispatch, [ring]);
  return [...kept];
}

describe("recordTerm", () => {
  gpuTest("keeps the number of a step that counts, in its place", async (gpu) => {
    expect(await recorded(gpu, { applies: true, stopped: 0 })).toEqual([10, 11, 2, 13]);
  });

  gpuTest("keeps NaN of a batch that was skipped", async (gpu) => {
    expect(await recorded(gpu, { applies: false, stopped: 0 })).toEqual([10, 11, NaN, 13]);
  });

  gpuTest("leaves all as it was once the run is stopped", async (gpu) => {
    expect(await recorded(gpu, { applies: false, stopped: 1 })).toEqual([10, 11, 12, 13]);
    expect(await recorded(gpu, { applies: true, stopped: 1 })).toEqual([10, 11, 12, 13]);
  });
});
