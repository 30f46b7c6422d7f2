import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../src/base/crc32/crc32.ts";
import { crc32OfTables } from "../../../src/base/crc32/crc32_tables.ts";
import { bytesOf, withoutBuiltins } from "../../container/samples.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

describe("crc32", () => {
  for (const [name, sum] of [["crc32", crc32], ["crc32OfTables", crc32OfTables]] as const) {
    test(`${name} gives the published check values`, () => {
      expect(sum(new Uint8Array(0))).toBe(0);
      expect(sum(text("123456789"))).toBe(0xcbf43926);
      expect(sum(text("The quick brown fox jumps over the lazy dog"))).toBe(0x414fa339);
      expect(sum(new Uint8Array(32))).toBe(0x190a55ad);
    });

    test(`${name} sums a stream piece by piece`, () => {
      const bytes = bytesOf(1000, 7);
      for (const cut of [0, 1, 7, 8, 9, 500, 999, 1000]) {
        expect(sum(bytes.subarray(cut), sum(bytes.subarray(0, cut)))).toBe(sum(bytes));
      }
    });
  }

  test("the tables and the runtime agree at every length and alignment", () => {
    const bytes = bytesOf(400, 3);
    for (let start = 0; start < 9; start++) {
      for (let end = start; end <= 300; end++) {
        const piece = bytes.subarray(start, end);
        if (crc32OfTables(piece) !== crc32(piece)) throw new Error(`differs for bytes ${start} to ${end}`);
      }
    }
  });

  test("without node:zlib the tables are used and give the same", () => {
    const bytes = bytesOf(1 << 16, 1);
    const expected = crc32(bytes);
    expect(withoutBuiltins(() => crc32(bytes))).toBe(expected);
    expect(crc32OfTables(bytes)).toBe(expected);
  });
});
