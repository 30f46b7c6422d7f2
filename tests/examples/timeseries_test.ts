import { describe, expect, test } from "bun:test";
import { DAY, hourly, naiveError, NOISE, windows } from "../../examples/timeseries/series.ts";

describe("the series of the example", () => {
  test("is the same each time, and what a day before says is nearer than nothing", () => {
    const series = hourly(3000);
    expect(hourly(3000)).toEqual(series);
    expect(series.every(Number.isFinite)).toBe(true);
    const deviation = Math.sqrt(series.reduce((sum, value) => sum + value * value, 0) / series.length);
    const [hour, day] = [1, DAY].map((lag) => naiveError(series, 48, lag));
    expect(day).toBeLessThan(deviation);
    expect(hour).toBeLessThan(day ?? NaN);
    // Nothing that only knows the past can be better than the noise.
    expect(hour).toBeGreaterThan(NOISE);
  });

  test("is cut into windows whose label is the hour that follows", () => {
    const { inputs, labels } = windows(Float32Array.of(0, 1, 2, 3, 4), 3);
    expect([inputs.shape, [...inputs.toArray()]]).toEqual([[2, 3, 1], [0, 1, 2, 1, 2, 3]]);
    expect([labels.shape, [...labels.toArray()]]).toEqual([[2, 1], [3, 4]]);
  });

  test("has an error for a naive forecast", () => {
    expect(naiveError(Float32Array.of(0, 0, 1, 3), 2, 1)).toBeCloseTo(Math.sqrt((1 + 4) / 2), 12);
    expect(naiveError(Float32Array.of(0, 0, 1, 3), 2, 2)).toBeCloseTo(Math.sqrt((1 + 9) / 2), 12);
  });
});
