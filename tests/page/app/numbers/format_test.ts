import { expect, test } from "bun:test";
import {
  formatBytes,
  formatNumber,
  formatShape,
  formatShare,
} from "../../../../src/page/app/numbers/format.ts";

test("bytes have three digits and a unit", () => {
  const bytes = [0, 1, 1023, 1024, 1536, 1024 ** 2 - 1, 123_456_789, 2 ** 30, 2 ** 60];
  expect(bytes.map(formatBytes)).toEqual([
    "0 B",
    "1 B",
    "1023 B",
    "1.00 KiB",
    "1.50 KiB",
    "1.00 MiB",
    "118 MiB",
    "1.00 GiB",
    "1024 PiB",
  ]);
});

test("numbers are short, whichever size they have", () => {
  const numbers = [
    0,
    1,
    -2,
    1234567,
    0.5,
    0.012345,
    1.23456e-7,
    -4e-10,
    123456.78,
    2e9,
    1e21,
    NaN,
    Infinity,
    -Infinity,
  ];
  expect(numbers.map((number) => formatNumber(number))).toEqual([
    "0",
    "1",
    "−2",
    "1,234,567",
    "0.5",
    "0.01235",
    "1.235e−7",
    "−4e−10",
    "123,457",
    "2e9",
    "1e21",
    "NaN",
    "∞",
    "−∞",
  ]);
});

test("a share is 0 or 100 % only where it is", () => {
  expect([
    formatShare(0, 9),
    formatShare(9, 9),
    formatShare(1, 1e9),
    formatShare(999_999_999, 1e9),
    formatShare(1, 3),
  ])
    .toEqual(["0 %", "100 %", "< 0.01 %", "> 99.99 %", "33.3 %"]);
});

test("a scalar has no sizes", () => {
  expect([formatShape([]), formatShape([3, 4])]).toEqual(["scalar", "3 × 4"]);
});
