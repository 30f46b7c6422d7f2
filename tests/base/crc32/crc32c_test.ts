import { expect, test } from "bun:test";
import { crc32c } from "../../../src/base/crc32/crc32c.ts";

test("crc32c gives the values of RFC 3720, and of the usual check", () => {
  const ascending = Uint8Array.from({ length: 32 }, (_, index) => index);
  expect([
    new Uint8Array(0),
    new TextEncoder().encode("123456789"),
    new Uint8Array(32),
    new Uint8Array(32).fill(0xff),
    ascending,
    ascending.toReversed(),
  ].map(crc32c)).toEqual([0, 0xe3069283, 0x8a9136aa, 0x62a8ab43, 0x46dd794e, 0x113fdb5c]);
});
