import { describe, expect, test } from "bun:test";
import { gradients } from "../../../../src/graph/autodiff.ts";
import { drawnAgain } from "../../../../src/graph/ops/gradients/drawn_again.ts";
import { add, mul, square } from "../../../../src/graph/ops/arithmetic.ts";
import { less } from "../../../../src/graph/ops/comparison.ts";
import { full } from "../../../../src/graph/ops/fill.ts";
import { dropout, randomNormal, randomUniform } from "../../../../src/graph/ops/random.ts";
import { input } from "../../../../src/graph/ops/sources.ts";
import { sum } from "../../../../src/graph/ops/sum.ts";
import { reachable, type Value } from "../../../../src/graph/value.ts";
import { gpuTest } from "../../../helpers/gpu.ts";
import { runValues } from "../../run_values.ts";

const drawsOf = (value: Value): Value[] => reachable([value]).filter(({ op }) => op.startsWith("random"));

describe("what is drawn again", () => {
  test("is random numbers, and what is computed from nothing else but constants", () => {
    const draws = [randomUniform([4], { stream: 3 }), randomNormal([4], { stream: 4 })];
    for (const drawn of [...draws, less(mul(draws[0] ?? full([4], 0), 2), draws[1] ?? 0)]) {
      const again = drawnAgain(drawn);
      expect([again.op, again.dtype, again.shape]).toEqual([drawn.op, drawn.dtype, drawn.shape]);
      const first = new Set(drawsOf(drawn));
      expect(drawsOf(again).some((value) => first.has(value))).toBe(false);
      expect(drawsOf(again).map(({ attributes }) => attributes)).toEqual(
        drawsOf(drawn).map(({ attributes }) => attributes),
      );
    }
  });

  test("is nothing that depends on an input, no sum, and no constant", () => {
    const drawn = randomUniform([4], { stream: 0 });
    for (
      const value of [input("x", "f32", [4]), less(drawn, input("x", "f32", [4])), sum(drawn), full([4], 1)]
    ) {
      expect(drawnAgain(value)).toBe(value);
    }
  });

  test("is drawn once however often it is used, and looked at once", () => {
    const drawn = randomUniform([4], { stream: 0 });
    let [sums, ofInput]: Value[] = [drawn, input("x", "f32", [4])];
    for (let doubled = 0; doubled < 200; doubled++) {
      [sums, ofInput] = [add(sums ?? drawn, sums ?? drawn), add(ofInput ?? drawn, ofInput ?? drawn)];
    }
    expect(drawsOf(drawnAgain(sums ?? drawn)).map((value) => value === drawn)).toEqual([false]);
    expect(drawnAgain(ofInput ?? drawn)).toBe(ofInput ?? drawn);
  });

  gpuTest("is what dropout has dropped, so that no random numbers are kept for its gradient", async (gpu) => {
    const x = input("x", "f32", [3, 100]);
    const dropped = dropout(x, { rate: 0.4, stream: 7 });
    const loss = sum(square(dropped));
    const [gradient = x] = gradients(loss, [x]);
    const forward = new Set(drawsOf(loss));
    expect([forward.size, drawsOf(gradient).filter((value) => !forward.has(value)).length]).toEqual([1, 1]);
    const elements = Array.from({ length: 300 }, (_, at) => 1 + at % 8);
    const [kept, found] = await runValues(gpu, [dropped, gradient], { x: elements });
    const [values, slopes] = [kept, found].map((tensor) => [...(tensor?.toArray() ?? [])].map(Number));
    const scale = Math.fround(1 / 0.6);
    expect(values?.filter((value) => value === 0).length).toBeGreaterThan(60);
    slopes?.forEach((slope, at) => {
      const expected = values?.[at] === 0 ? 0 : 2 * (values?.[at] ?? NaN) * scale;
      expect(Math.abs(slope - expected)).toBeLessThanOrEqual(1e-6 * Math.abs(expected));
    });
  });
});
