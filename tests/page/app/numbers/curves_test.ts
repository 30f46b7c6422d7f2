import { expect, test } from "bun:test";
import { smooth } from "../../../../src/page/app/numbers/smooth.ts";
import { thin } from "../../../../src/page/app/numbers/thin.ts";

test("smoothing begins with the first value, keeps gaps, and with no weight changes nothing", () => {
  expect(smooth([3, 1, NaN, 2], 0)).toEqual([3, 1, NaN, 2]);
  const [first, second, gap, last] = smooth([4, 1, NaN, 1], 0.5);
  expect([first, second, gap]).toEqual([4, 2, NaN]);
  expect(last).toBeCloseTo((4 * 0.25 + 1 * 0.5 + 1) / 1.75, 12);
  expect(smooth([7, 7, 7], 0.99).every((value) => Math.abs(value - 7) < 1e-12)).toBe(true);
});

test("a curve that is thinned keeps its spikes, its order, and nothing that is not finite", () => {
  const points = Array.from(
    { length: 10_000 },
    (_, step) => ({ step, value: step === 5_003 ? 99 : step % 7 }),
  );
  const kept = thin([...points, { step: 10_000, value: NaN }], 1_000);
  expect(kept.length).toBeLessThanOrEqual(1_000);
  expect(kept.length).toBeGreaterThan(900);
  expect(kept.some(({ step, value }) => step === 5_003 && value === 99)).toBe(true);
  expect(kept.every(({ step }, index) => index === 0 || step > (kept[index - 1]?.step ?? -1))).toBe(true);
  expect(thin(points.slice(0, 5), 1_000)).toEqual(points.slice(0, 5));
});
