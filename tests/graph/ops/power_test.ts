import { describe, expect } from "bun:test";
import { pow } from "../../../src/graph/ops/power.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { runValues } from "../run_values.ts";

describe("powers of subnormal numbers", () => {
  gpuTest("are theirs, or those of 0, and none in between", async (gpu) => {
    const bases = [1e-45, 1e-40, 1.1e-38, -1e-45, -1e-40, 1e-45, 1e-40, 1e-45, 0, 1.5e-38];
    const exponents = [0.76, 0.5, 0.9999, 2, 3, -0.5, -1, 0, 0.5, 0.5];
    const [x, y] = [input("x", "f32", [bases.length]), input("y", "f32", [bases.length])];
    const [powers] = await runValues(gpu, [pow(x, y)], { x: bases, y: exponents });
    const found = Array.from(powers?.toArray() ?? [], Number);
    expect(found.length).toBe(bases.length);
    const wrong = bases.flatMap((base, index) => {
      const [exponent = 0, power = NaN] = [exponents[index], found[index]];
      const ofBase = Math.fround(Math.fround(base) ** exponent);
      const isOfBase = Math.abs(power - ofBase) <= 2e-5 * Math.abs(ofBase) || power === ofBase;
      const isOfZero = Math.abs(power) === 0 ** exponent;
      return isOfBase || isOfZero ? [] : [`${base} to the power ${exponent} is ${power}`];
    });
    expect(wrong).toEqual([]);
  });
});
