import { describe } from "bun:test";
import { copy } from "../../../src/kernels/elementwise/copy.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
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
});
