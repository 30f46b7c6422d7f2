import { describe } from "bun:test";
import { addInto } from "../../../src/kernels/optimizer/add_into.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { expectSame, randomNumbers, SIZES } from "../numbers.ts";

describe("addInto", () => {
  gpuTest("addInto adds every element, rounded once", async (gpu) => {
    for (const count of SIZES) {
      const [addend, sum] = [randomNumbers(count, 1), randomNumbers(count, 2)];
      if (count > 1) addend[1] = NaN;
      const [result] = await runDispatch(gpu, addInto<HostArray>({ addend, sum }, { count }), [sum]);
      expectSame(result, addend.map((own, index) => Math.fround((sum[index] ?? 0) + own)));
    }
  });

  gpuTest("addInto adds whole numbers behind the others, which f32 would take for nothing", async (gpu) => {
    const words = (numbers: readonly number[], integers: readonly number[]): Uint32Array =>
      Uint32Array.of(...new Uint32Array(Float32Array.from(numbers).buffer), ...integers);
    const addend = words([0.5, -2], [0, 3, 4_000_000_000]);
    const sum = words([1, 2], [7, 0xffff_ffff, 400_000_000]);
    const [result] = await runDispatch(
      gpu,
      addInto<HostArray>({ addend, sum }, { count: 5, integersFrom: 2 }),
      [sum],
    );
    expectSame(result, words([1.5, 0], [7, 2, 105_032_704]));
  });
});
