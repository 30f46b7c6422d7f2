import { describe, expect } from "bun:test";
import { adamMoments } from "../../../src/kernels/optimizer/adam_moments.ts";
import { lamb } from "../../../src/kernels/optimizer/lamb.ts";
import { encodeStepVerdict, STEP_VERDICT_BYTES } from "../../../src/kernels/optimizer/step_verdict.ts";
import { encodeStepScalars } from "../../../src/kernels/step_scalars.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { expectClose, randomNumbers, SIZES } from "../numbers.ts";
import { lambTwin } from "../twins/optimizer_twins.ts";

const TOLERANCE = { absolute: 5e-7, relative: 2e-6 };

function normOf(values: Iterable<number>): number {
  return Math.sqrt([...values].reduce((total, each) => total + each * each, 0));
}

describe("lamb", () => {
  gpuTest("OT-01 lamb's two kernels take the twin's step over 0 to 65537 elements", async (gpu) => {
    const scalars = encodeStepScalars({ seed: 0, step: 3, values: [1e6, 0.01] });
    for (const count of SIZES) {
      const [parameter, m, gradient] = [1, 2, 3].map((seed) => randomNumbers(count, seed)) as Float32Array[];
      const v = randomNumbers(count, 4).map((each) => each * each);
      if (parameter === undefined || m === undefined || gradient === undefined) throw new Error("no tensors");
      const t = 7;
      const verdict = encodeStepVerdict({ updates: t, corrections: [1 - 0.9 ** t, 1 - 0.999 ** t] });
      const twin = lambTwin({ lr: 0.01, weightDecay: 0.1 });
      const [expected, nextM, nextV] = twin(
        [Float64Array.from(parameter), Float64Array.from(m), Float64Array.from(v)],
        Float64Array.from(gradient),
        t,
        1,
      );
      const moments = await runDispatch(
        gpu,
        adamMoments<HostArray>({ gradient, m, v, verdict }, { count, beta1: 0.9, beta2: 0.999 }),
        [m, v],
      );
      expectClose(moments[0], nextM ?? [], TOLERANCE);
      expectClose(moments[1], nextV ?? [], TOLERANCE);
      // The ratio is what the twin's has to have been.
      const direction = expected.map((p, index) => ((parameter[index] ?? NaN) - p) / 0.01);
      const ratio = count === 0 ? 1 : normOf(direction) / normOf(Float64Array.from(
        parameter,
        (p, index) => {
          const mHat = (nextM?.[index] ?? NaN) / (1 - 0.9 ** t);
          return mHat / (Math.sqrt((nextV?.[index] ?? NaN) / (1 - 0.999 ** t)) + 1e-6) + 0.1 * p;
        },
      ));
      const bindings = {
        parameter,
        m: moments[0],
        v: moments[1],
        trustRatio: Float32Array.of(ratio),
        scalars,
        verdict,
      };
      const hyperparameters = { count, rate: 1, epsilon: 1e-6, weightDecay: 0.1 };
      const [after] = await runDispatch(gpu, lamb<HostArray>(bindings, hyperparameters), [parameter]);
      expectClose(after, expected, TOLERANCE);
    }
  });

  gpuTest("OT-01 lamb's kernels change nothing when the verdict is 0", async (gpu) => {
    const [parameter, m, v] = [1, 2, 3].map((seed) => randomNumbers(64, seed)) as Float32Array[];
    if (parameter === undefined || m === undefined || v === undefined) throw new Error("no tensors");
    const verdict = new Uint8Array(STEP_VERDICT_BYTES);
    const moments = adamMoments<HostArray>({ gradient: m.slice(), m, v, verdict }, {
      count: 64,
      beta1: 0,
      beta2: 0,
    });
    expect(await runDispatch(gpu, moments, [m, v])).toEqual([m, v]);
    const scalars = encodeStepScalars({ seed: 0, step: 0, values: [1] });
    const bindings = { parameter, m, v, trustRatio: Float32Array.of(1), scalars, verdict };
    const dispatch = lamb<HostArray>(bindings, { count: 64, epsilon: 1, weightDecay: 1 });
    expect(await runDispatch(gpu, dispatch, [parameter])).toEqual([parameter]);
  });
});
