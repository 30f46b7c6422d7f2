import { expect, test } from "bun:test";
import { isAllZero, readU64, viewOf, writeU64 } from "../../src/base/little_endian.ts";

test("safe integers survive as 64-bit numbers, lowest byte first", () => {
  const bytes = new Uint8Array(16);
  const view = viewOf(bytes);
  for (const value of [0, 1, 255, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 53 - 1]) {
    writeU64(view, 3, value);
    expect(readU64(view, 3)).toBe(value);
    expect(view.getBigUint64(3, true)).toBe(BigInt(value));
  }
  writeU64(view, 0, 0x0102030405);
  expect([...bytes.subarray(0, 8)]).toEqual([5, 4, 3, 2, 1, 0, 0, 0]);
});

test("no number above 2^53 - 1 reads as a safe integer", () => {
  const view = viewOf(new Uint8Array(8));
  for (const value of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
    view.setBigUint64(0, value, true);
    expect(Number.isSafeInteger(readU64(view, 0))).toBe(false);
  }
});

test("isAllZero sees any bit, and respects the view's bounds", () => {
  const bytes = Uint8Array.of(1, 0, 0, 0, 128);
  expect(isAllZero(bytes.subarray(1, 4))).toBe(true);
  expect(isAllZero(bytes.subarray(1))).toBe(false);
  expect(isAllZero(new Uint8Array(0))).toBe(true);
});
