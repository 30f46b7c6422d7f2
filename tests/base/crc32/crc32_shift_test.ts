import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../src/base/crc32/crc32.ts";
import { crc32Shift, shifted } from "../../../src/base/crc32/crc32_shift.ts";
import { bytesOf } from "../../container/samples.ts";

describe("crc32Shift", () => {
  test("joins the sums of two pieces", () => {
    const bytes = bytesOf(5000, 1);
    for (const cut of [0, 1, 3, 4, 255, 4096, 4999, 5000]) {
      const [a, b] = [bytes.subarray(0, cut), bytes.subarray(cut)];
      // The sum of all is that of the first piece, shifted, and that of the second; what both begin and end with
      // cancels out.
      expect((shifted(crc32Shift(b.length), crc32(a)) ^ crc32(b)) >>> 0).toBe(crc32(bytes));
    }
  });

  test("of no bytes changes nothing", () => {
    for (const register of [0, 1, 0xffffffff, 0x12345678]) {
      expect(shifted(crc32Shift(0), register)).toBe(register);
    }
  });
});
