import { describe, expect } from "bun:test";
import { average } from "../../../src/kernels/optimizer/average.ts";
import { encodeStepVerdict, STEP_VERDICT_BYTES } from "../../../src/kernels/optimizer/step_verdict.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { expectClose, randomNumbers, SIZES } from "../numbers.ts";

describe("average", () => {
  gpuTest(
    "OT-03 average moves towards the parameter, and begins with it, over 0 to 65537 elements",
    async (gpu) => {
      for (const count of SIZES) {
        let mean = randomNumbers(count, 9);
        let expected = Float64Array.from(mean);
        for (const t of [1, 2, 3]) {
          const parameter = randomNumbers(count, t);
          const bindings = { parameter, average: mean, verdict: encodeStepVerdict({ updates: t }) };
          [mean] = await runDispatch(gpu, average<HostArray>(bindings, { count, decay: 0.9 }), [mean]);
          expected = expected.map((each, i) => {
            const p = parameter[i] ?? NaN;
            return t === 1 ? p : 0.9 * each + (1 - 0.9) * p;
          });
          expectClose(mean, expected, { absolute: 1e-6 });
        }
      }
    },
  );

  gpuTest("OT-03 average changes nothing when the verdict is 0", async (gpu) => {
    const [parameter, mean] = [randomNumbers(64, 1), randomNumbers(64, 2)];
    const bindings = { parameter, average: mean, verdict: new Uint8Array(STEP_VERDICT_BYTES) };
    expect(await runDispatch(gpu, average<HostArray>(bindings, { count: 64, decay: 0.5 }), [mean])).toEqual([
      mean,
    ]);
  });
});
