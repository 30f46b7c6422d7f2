import { describe, expect, test } from "bun:test";
import { bytesAsHex, hexOf, randomHex } from "../../src/base/hex.ts";

describe("hexadecimal text", () => {
  test("has two digits a byte", () => {
    expect(bytesAsHex(Uint8Array.of(0, 1, 0x0f, 0x10, 0xab, 0xff))).toBe("00010f10abff");
    expect(bytesAsHex(Uint8Array.of(0x89, 0x43), " ")).toBe("89 43");
    expect(bytesAsHex(new Uint8Array())).toBe("");
  });

  test("has the 8 digits of a checksum, or as many as are asked for", () => {
    expect(hexOf(0x1f)).toBe("0000001f");
    expect(hexOf(0xffff_ffff)).toBe("ffffffff");
    expect(hexOf(7, 2)).toBe("07");
    expect(hexOf(Number.MAX_SAFE_INTEGER, 16)).toBe("001fffffffffffff");
  });

  test("of random bytes is of the length asked for, and another one each time", () => {
    const texts = Array.from({ length: 100 }, () => randomHex(8));
    for (const text of texts) expect(text).toMatch(/^[0-9a-f]{16}$/);
    expect(new Set(texts).size).toBe(100);
  });
});
