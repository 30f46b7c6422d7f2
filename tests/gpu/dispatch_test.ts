import { describe, expect, test } from "bun:test";
import { gridFor, linearGrid, WORKGROUP_SIZE } from "../../src/gpu/dispatch.ts";

describe("gridFor", () => {
  test("uses one dimension while it is long enough", () => {
    expect(gridFor(1)).toEqual([1, 1, 1]);
    expect(gridFor(65_535)).toEqual([65_535, 1, 1]);
  });

  test("spreads more workgroups evenly over two dimensions", () => {
    expect(gridFor(65_536)).toEqual([32_768, 2, 1]);
    expect(gridFor(65_535 * 65_535)).toEqual([65_535, 65_535, 1]);
  });

  test("has room for every workgroup and little more", () => {
    for (const count of [65_537, 131_071, 1_000_003, 4_000_000_007]) {
      const [x, y] = gridFor(count);
      expect(x * y).toBeGreaterThanOrEqual(count);
      expect(x * y - count).toBeLessThan(y);
      expect(Math.max(x, y)).toBeLessThanOrEqual(65_535);
    }
  });

  test("is empty for no workgroup", () => {
    expect(gridFor(0)).toEqual([0, 0, 0]);
  });

  test("refuses more than a full grid, and an invalid count", () => {
    expect(() => gridFor(65_535 * 65_535 + 1)).toThrow("4294836226 workgroups do not fit");
    expect(() => gridFor(-1)).toThrow("whole number of workgroups, not -1");
    expect(() => gridFor(1.5)).toThrow(RangeError);
  });
});

describe("linearGrid", () => {
  test("gives each element an invocation", () => {
    expect(linearGrid(0)).toEqual([0, 0, 0]);
    expect(linearGrid(1)).toEqual([1, 1, 1]);
    expect(linearGrid(WORKGROUP_SIZE + 1)).toEqual([2, 1, 1]);
  });
});
