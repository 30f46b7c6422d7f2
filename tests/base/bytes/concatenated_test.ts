import { expect, test } from "bun:test";
import { concatenated } from "../../../src/base/bytes/concatenated.ts";

test("parts stand one behind the other, in memory of their own", () => {
  const whole = Uint8Array.of(1, 2, 3, 4);
  const all = concatenated([whole.subarray(2), new Uint8Array(), whole.subarray(0, 1)]);
  whole.fill(0);
  expect([...all]).toEqual([3, 4, 1]);
});

test("of nothing it is nothing", () => {
  expect(concatenated([])).toEqual(new Uint8Array());
});
