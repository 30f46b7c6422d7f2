import { describe, expect } from "bun:test";
import { copy, sharedCopy } from "../../../src/kernels/elementwise/copy.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { HOST_MEMORY } from "../../helpers/run_steps.ts";
import { expectSame, SIZES } from "../numbers.ts";

describe("copy", () => {
  /** Words that are signalling NaNs, denormals and everything between. */
  function words(count: number): Uint32Array {
    return Uint32Array.from({ length: count }, (_, index) => (index * 0x9e37_79b9 ^ 0x7f80_0001) >>> 0);
  }

  gpuTest("copies 0 to 65537 elements, bit for bit", async (gpu) => {
    for (const count of SIZES) {
      const out = new Uint32Array(count);
      const [copied] = await runDispatch(gpu, copy<HostArray>({ input: words(count), out }, { count }), [
        out,
      ]);
      expectSame(copied, words(count));
    }
  });

  gpuTest("copies the same where copies of all sizes share a pipeline", async (gpu) => {
    const codes = new Set<string>();
    for (const count of SIZES) {
      const out = new Uint32Array(count);
      const dispatch = sharedCopy<HostArray>({ input: words(count), out }, { count }, HOST_MEMORY);
      expectSame((await runDispatch(gpu, dispatch, [out]))[0], words(count));
      codes.add(dispatch.code);
    }
    expect(codes.size).toBe(2);
  });
});
