import { describe, expect, test } from "bun:test";
import { BitReader } from "../../../../src/container/codec/deflate/bit_reader.ts";
import { makeHuffmanCode } from "../../../../src/container/codec/deflate/huffman.ts";
import { thrownBy } from "../../../helpers/thrown.ts";

describe("makeHuffmanCode", () => {
  test("gives the example of RFC 1951", () => {
    // A to H with these lengths are 010, 011, 100, 101, 110, 00, 1110, 1111; a code's first bit is read first.
    const code = makeHuffmanCode(Uint8Array.of(3, 3, 3, 3, 3, 2, 4, 4));
    const text = "010 011 100 101 110 00 1110 1111".replaceAll(" ", "").padEnd(32, "0");
    const bytes = Uint8Array.from({ length: 4 }, (_, i) => {
      return parseInt([...text.slice(8 * i, 8 * i + 8)].reverse().join(""), 2);
    });
    const bits = new BitReader(bytes, 0);
    expect(Array.from({ length: 8 }, () => bits.symbol(code))).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test("refuses codes that are over-full or incomplete", async () => {
    const refused = [[1, 1, 1], [1, 2, 2, 2], [2, 2, 2], [2], [15], [1, 3]];
    for (const lengths of refused) {
      const error = await thrownBy(() => makeHuffmanCode(Uint8Array.from(lengths)));
      expect(error.code).toBe("invalid_container");
    }
  });

  test("allows a single code of one bit, and none, where DEFLATE does, but no use of what is missing", async () => {
    for (const lengths of [[0, 1], [0, 0]]) {
      const code = makeHuffmanCode(Uint8Array.from(lengths));
      const error = await thrownBy(() => new BitReader(Uint8Array.of(0xff), 0).symbol(code));
      expect(error.message).toMatch(/no code/);
      expect((await thrownBy(() => makeHuffmanCode(Uint8Array.from(lengths), "complete"))).code)
        .toBe("invalid_container");
    }
    expect(new BitReader(Uint8Array.of(0), 0).symbol(makeHuffmanCode(Uint8Array.of(0, 1)))).toBe(1);
  });
});

describe("BitReader", () => {
  test("reads from the low end of each byte, across bytes", () => {
    const bits = new BitReader(Uint8Array.of(0xee, 0b1010_0101, 0x12, 0x34, 0x56), 1);
    expect([bits.take(1), bits.take(3), bits.take(0), bits.take(8)]).toEqual([1, 2, 0, 0x2a]);
    expect([...bits.alignedBytes(1)]).toEqual([0x34]);
    expect(bits.remaining).toBe(1);
    expect(bits.take(8)).toBe(0x56);
  });

  test("throws at the first bit behind the end", async () => {
    const code = makeHuffmanCode(Uint8Array.of(2, 2, 2, 2));
    for (
      const work of [
        (bits: BitReader) => bits.take(2),
        (bits: BitReader) => bits.symbol(code),
        (bits: BitReader) => bits.alignedBytes(1),
      ]
    ) {
      const bits = new BitReader(Uint8Array.of(0), 0);
      bits.take(7);
      expect((await thrownBy(() => work(bits))).message).toMatch(/ends too early/);
    }
  });
});
