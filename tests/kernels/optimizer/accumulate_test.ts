import { describe } from "bun:test";
import { accumulate } from "../../../src/kernels/optimizer/accumulate.ts";
import { encodeStepScalars } from "../../../src/kernels/step_scalars.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { expectSame, randomNumbers, SIZES } from "../numbers.ts";

describe("accumulate", () => {
  gpuTest("OT-03 accumulate adds a piece to those before it, and the first begins anew", async (gpu) => {
    for (const count of SIZES) {
      const [piece, before] = [randomNumbers(count, 1), randomNumbers(count, 2)];
      // Whatever is left of the step before.
      if (count > 0) before[0] = NaN;
      for (const firstExample of [0, 5]) {
        const scalars = encodeStepScalars({ seed: 0, step: 1, firstExample, values: [] });
        const [sum] = await runDispatch(
          gpu,
          accumulate<HostArray>({ piece, sum: before, scalars }, { count }),
          [before],
        );
        const expected = piece.map((own, index) =>
          firstExample === 0 ? own : Math.fround((before[index] ?? NaN) + own)
        );
        expectSame(sum, expected);
      }
    }
  });
});
