import { expect, test } from "bun:test";
import { alignUp, checkedAdd, checkedMultiply } from "../../src/base/checked.ts";

test("checked sums and products are exact or refused", () => {
  expect(checkedMultiply(94906265, 94906265)).toBe(94906265 ** 2);
  expect(checkedAdd(2 ** 53 - 2, 1)).toBe(2 ** 53 - 1);
  for (const [a, b] of [[94906267, 94906267], [2 ** 26, 2 ** 27], [2 ** 52, 2], [Infinity, 0]] as const) {
    expect(() => checkedMultiply(a, b)).toThrow(RangeError);
  }
  expect(() => checkedAdd(2 ** 53 - 1, 1)).toThrow(RangeError);
});

test("alignUp gives the next multiple, or the value itself", () => {
  expect([0, 1, 255, 256, 257].map((value) => alignUp(value, 256))).toEqual([0, 256, 256, 256, 512]);
  expect(alignUp(2 ** 52 + 1, 64)).toBe(2 ** 52 + 64);
});
