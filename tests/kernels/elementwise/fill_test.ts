import { describe, expect, test } from "bun:test";
import { fill } from "../../../src/kernels/elementwise/fill.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { expectSame, SIZES } from "../numbers.ts";

describe("fill", () => {
  gpuTest("fills 0 to 65537 elements and nothing else", async (gpu) => {
    for (const count of SIZES) {
      const out = new Float32Array(count);
      const [result] = await runDispatch(gpu, fill<HostArray>({ out }, { count, value: 0.1 }), [out]);
      expectSame(result, new Float32Array(count).fill(0.1));
    }
  });

  gpuTest("fills more elements than one row of a grid has", async (gpu) => {
    const count = 65_535 * 64 + 65;
    const out = new Uint32Array(count);
    const dispatch = fill<HostArray>({ out }, { count, value: 0xdead_beef, dtype: "u32" });
    expect(dispatch.workgroups[1]).toBe(2);
    const [result] = await runDispatch(gpu, dispatch, [out]);
    expect(result.every((word) => word === 0xdead_beef)).toBe(true);
  }, 600_000);

  gpuTest("writes the bits of NaN, infinities, -0 and integers", async (gpu) => {
    for (const value of [NaN, Infinity, -Infinity, -0, 1e-45]) {
      const out = new Float32Array(5);
      const [result] = await runDispatch(gpu, fill<HostArray>({ out }, { count: 5, value }), [out]);
      expect(Object.is(result[4], Math.fround(value))).toBe(true);
    }
    const signed = new Int32Array(3);
    const [result] = await runDispatch(
      gpu,
      fill<HostArray>({ out: signed }, { count: 3, value: -(2 ** 31), dtype: "i32" }),
      [
        signed,
      ],
    );
    expectSame(result, [-(2 ** 31), -(2 ** 31), -(2 ** 31)]);
  });

  test("refuses values that the dtype does not have", () => {
    expect(() => fill({ out: "out" }, { count: 1, value: -1, dtype: "u32" })).toThrow(
      "u32 holds whole numbers from 0",
    );
    expect(() => fill({ out: "out" }, { count: 1, value: 2 ** 31, dtype: "i32" })).toThrow("not 2147483648");
    expect(() => fill({ out: "out" }, { count: 1, value: 0.5, dtype: "i32" })).toThrow(RangeError);
    expect(() => fill({ out: "out" }, { count: -1, value: 0 })).toThrow("count has to be");
  });
});
