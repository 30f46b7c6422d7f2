import { describe, expect } from "bun:test";
import { gatedCopy } from "../../../src/kernels/optimizer/gated_copy.ts";
import { encodeStepVerdict, STEP_VERDICT_BYTES } from "../../../src/kernels/optimizer/step_verdict.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { SIZES } from "../numbers.ts";

describe("gatedCopy", () => {
  gpuTest("OT-05 gatedCopy copies every bit where a step counts, and none otherwise", async (gpu) => {
    for (const count of SIZES) {
      // NaN with a payload, a subnormal, -0 and infinity are bits like any others.
      const from = Uint32Array.from(
        { length: count },
        (_, index) => [0x7fc0_1234, 1, 0x8000_0000, 0xff80_0000, index][index % 5] ?? 0,
      );
      const into = new Uint32Array(count).fill(0xabcd);
      for (const verdict of [encodeStepVerdict(), new Uint8Array(STEP_VERDICT_BYTES)]) {
        const [copied] = await runDispatch(gpu, gatedCopy<HostArray>({ from, into, verdict }, { count }), [
          into,
        ]);
        expect(copied).toEqual(verdict[0] === 1 ? from : into);
      }
    }
  });
});
