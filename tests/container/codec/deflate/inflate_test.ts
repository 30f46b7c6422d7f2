import { describe, expect, test } from "bun:test";
import zlib from "node:zlib";
import { inflateStrictly } from "../../../../src/container/codec/deflate/inflate.ts";
import {
  deflateBytes,
  deflateBytesPortably,
  inflateBytes,
} from "../../../../src/container/codec/deflate/zlib_stream.ts";
import { thrownBy } from "../../../helpers/thrown.ts";
import { asBytes, bytesOf, weightsOf, withoutBuiltins } from "../../samples.ts";

const INPUTS: [string, Uint8Array][] = [
  ["one byte", Uint8Array.of(7)],
  ["three bytes", Uint8Array.of(1, 2, 3)],
  ["noise", bytesOf(5000, 1)],
  ["zeros", new Uint8Array(100_000)],
  ["one value", new Uint8Array(259).fill(9)],
  ["text", new TextEncoder().encode("a cairn is a pile of stones that marks the way back. ".repeat(700))],
  ["weights", asBytes(weightsOf(20_000, 2))],
  ["far matches", Uint8Array.from([...bytesOf(32_768, 3), ...bytesOf(32_768, 3)])],
];

const { Z_DEFAULT_STRATEGY, Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED, Z_FILTERED } = zlib.constants;

/** A zlib stream of these bits, the first of each byte lowest, and zeros behind them. */
function packed(bits: string): Uint8Array {
  const stream = Uint8Array.of(0x78, 0x01, ...new Uint8Array(Math.ceil(bits.length / 8) + 8));
  for (let i = 0; i < bits.length; i++) {
    const at = 2 + (i >>> 3);
    if (bits[i] === "1") stream[at] = (stream[at] as number) | (1 << (i & 7));
  }
  return stream;
}

/** What either decoder says: the bytes, or the code of its error. */
function outcome(work: () => Uint8Array): string {
  try {
    return Array.from(work(), (byte) => byte.toString(16)).join(" ");
  } catch (error) {
    return `error ${(error as { code?: string }).code}`;
  }
}

describe("inflateStrictly", () => {
  test("decodes what zlib encodes, at every level and with every strategy", () => {
    for (const [, raw] of INPUTS) {
      for (const level of [0, 1, 3, 6, 9]) {
        for (const strategy of [Z_DEFAULT_STRATEGY, Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED, Z_FILTERED]) {
          const stream = zlib.deflateSync(raw, { level, strategy });
          expect(Buffer.compare(inflateStrictly(stream, raw.byteLength), raw)).toBe(0);
        }
      }
    }
  });

  test("decodes what fflate encodes, and so does zlib", () => {
    for (const [, raw] of INPUTS) {
      const stream = deflateBytesPortably(raw);
      expect(Buffer.compare(inflateStrictly(stream, raw.byteLength), raw)).toBe(0);
      expect(Buffer.compare(inflateBytes(stream, raw.byteLength), raw)).toBe(0);
    }
  });

  test("says where a stream went wrong", async () => {
    const stream = new Uint8Array(zlib.deflateSync(bytesOf(300, 1).map((byte) => byte & 7), { level: 9 }));
    const cases: [Uint8Array, RegExp][] = [
      [stream.subarray(0, 40), /ends too early/],
      [stream.subarray(0, 3), /ends too early/],
      [stream.subarray(0, -2), /ends too early/],
      [new Uint8Array(zlib.deflateSync(new Uint8Array(299))), /holds 299 bytes, expected 300/],
      [new Uint8Array(zlib.deflateSync(new Uint8Array(301))), /holds more than 300/],
      [Uint8Array.of(0x78, 0x01), /ends too early/],
      [Uint8Array.of(0x78, 0x02), /does not begin as one/],
      [Uint8Array.of(0x78, 0x01, 0x07, 0), /type 3/],
      [Uint8Array.of(0x78, 0x01, 0x03, 0x02, 0, 0, 0, 0, 0), /reaches 1 bytes back, of 0/],
    ];
    for (const [bytes, message] of cases) {
      expect((await thrownBy(() => inflateStrictly(bytes, 300))).message).toMatch(message);
    }
  });

  test("refuses what only a forger writes, and says what it is", async () => {
    const [lastFixed, lastDynamic, a] = ["110", "101", "10010001"];
    // 257 literals, 1 distance, 18 code lengths: one bit each for the symbols 1 and `other`.
    const withLengths = (other: 16 | 18): string =>
      lastDynamic + "00000" + "00000" + "0111" +
      Array.from({ length: 18 }, (_, i) => i === (other === 16 ? 0 : 2) || i === 17 ? "100" : "000").join("");
    const cases: [string, RegExp][] = [
      [`${lastFixed}${a}11000110`, /length symbol 286/],
      [`${lastFixed}${a}000000111110`, /distance symbol 30/],
      [`${lastFixed}${a}000000100001`, /reaches 2 bytes back, of 1/],
      [`${lastDynamic}11111000000000`, /too many symbols/],
      [`${lastDynamic}00000111110000`, /too many symbols/],
      [`${lastDynamic}00000000000000${"0".repeat(12)}`, /over-full or incomplete/],
      [`${withLengths(16)}100`, /repeats a code length before the first/],
      [`${withLengths(18)}00${"1" + "1111111"}${"1" + "1111111"}`, /more code lengths than symbols/],
      // Two lengths of 1, then 138 and 118 zeros: none is left for the end symbol, 256.
      [`${withLengths(18)}00${"1" + "1111111"}${"1" + "1101011"}`, /no end symbol/],
      // A stored block of "ab" with a right sum but a wrong complement of its length.
      ["10000000" + "0100000000000000" + "0".repeat(16) + "1000011001000110" + "0".repeat(32), /complement/],
    ];
    for (const [bits, message] of cases) {
      const error = await thrownBy(() => inflateStrictly(packed(bits), 300));
      expect(error.code).toBe("invalid_container");
      expect(error.message).toMatch(message);
    }
  });

  test("judges every single-bit flip and every truncation as zlib does, and none changes the bytes", () => {
    const raw = new TextEncoder().encode("abcabcabcabd".repeat(12) + "xyz");
    for (const strategy of [Z_DEFAULT_STRATEGY, Z_HUFFMAN_ONLY, Z_FIXED]) {
      const stream = new Uint8Array(zlib.deflateSync(raw, { level: 6, strategy }));
      const right = outcome(() => raw);
      for (let bit = 0; bit < stream.byteLength * 8; bit++) {
        const flipped = stream.slice();
        flipped[bit >>> 3] = (flipped[bit >>> 3] as number) ^ (1 << (bit & 7));
        const ours = outcome(() => inflateStrictly(flipped, raw.byteLength));
        const theirs = outcome(() => inflateBytes(flipped, raw.byteLength));
        if (ours !== theirs) throw new Error(`flip of bit ${bit}: ${ours} and ${theirs}`);
        if (ours !== right && !ours.startsWith("error invalid")) {
          throw new Error(`flip of bit ${bit}: ${ours}`);
        }
      }
      for (let length = 0; length < stream.byteLength; length++) {
        const cut = stream.subarray(0, length);
        expect(outcome(() => inflateStrictly(cut, raw.byteLength))).toBe("error invalid_container");
        expect(outcome(() => inflateBytes(cut, raw.byteLength))).toBe("error invalid_container");
      }
    }
  });
});

for (const isNative of [true, false]) {
  const inflate = (stream: Uint8Array, rawLength: number): Uint8Array =>
    isNative ? inflateBytes(stream, rawLength) : withoutBuiltins(() => inflateBytes(stream, rawLength));

  describe(`inflateBytes ${isNative ? "with" : "without"} node:zlib`, () => {
    const raw = new TextEncoder().encode("stones and stones and stones");
    const stream = new Uint8Array(zlib.deflateSync(raw));
    const joined = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
    const replaced = (at: number, value: number): Uint8Array =>
      stream.map((byte, i) => (i === at ? value : byte));
    const bits = (...bytes: number[]): Uint8Array => Uint8Array.of(0x78, 0x01, ...bytes);

    const refused: [string, Uint8Array][] = [
      ["nothing", new Uint8Array(0)],
      ["one byte", stream.subarray(0, 1)],
      ["a header alone", stream.subarray(0, 2)],
      ["junk behind the stream", joined(stream, Uint8Array.of(0))],
      ["the checksum once more behind the stream", joined(stream, stream.subarray(-4))],
      ["a second stream", joined(stream, stream)],
      ["a gzip member", new Uint8Array(zlib.gzipSync(raw))],
      ["a stream without its wrapping", new Uint8Array(zlib.deflateRawSync(raw))],
      ["a wrong checksum", replaced(stream.length - 1, 0x55)],
      ["a preset dictionary", joined(Uint8Array.of(0x78, 0x20, 0, 0, 0, 1), stream.subarray(2))],
      ["a window of 64 KiB", joined(Uint8Array.of(0x88, 0x1c), stream.subarray(2))],
      ["a method that is not 8", joined(Uint8Array.of(0x77, 0x15), stream.subarray(2))],
      ["a block of type 3", bits(0x07)],
      ["a stored block whose length is wrong", bits(0x01, 0x02, 0x00, 0x00, 0x00, 1, 2)],
      ["a stored block that is cut", bits(0x01, 0x05, 0x00, 0xfa, 0xff, 1, 2)],
      // Fixed code, last block: length symbol 257, distance symbol 0, with nothing to copy yet.
      ["a match before the first byte", bits(0x03, 0x02, 0x00, 0, 0, 0, 0)],
      ["a dynamic block of zeros", bits(0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
      ["a dynamic block of ones", bits(0xfd, 255, 255, 255, 255, 255, 255, 255, 255, 255)],
      ["empty stored blocks without end", bits(...Array(2000).fill([0, 0, 0, 255, 255]).flat())],
    ];
    for (const [name, bytes] of refused) {
      test(`refuses ${name}`, async () => {
        expect((await thrownBy(() => inflate(bytes, raw.byteLength))).code).toBe("invalid_container");
      });
    }

    test("accepts the good stream, of exactly its length", async () => {
      expect(Buffer.compare(inflate(stream, raw.byteLength), raw)).toBe(0);
      for (const length of [raw.byteLength - 1, raw.byteLength + 1, 1]) {
        expect((await thrownBy(() => inflate(stream, length))).code).toBe("invalid_container");
      }
    });

    test("stops a bomb at the declared length, not at its end", async () => {
      const bomb = zlib.deflateSync(new Uint8Array(64 << 20), { level: 9 });
      expect(bomb.byteLength).toBeLessThan(70_000);
      const whole = await thrownBy(() => inflate(bomb, 1024));
      expect(whole.code).toBe("invalid_container");
      // What comes later is not looked at, and so it may be missing.
      expect((await thrownBy(() => inflate(bomb.subarray(0, 200), 1024))).message).toBe(whole.message);
    });

    test("gives back what deflateBytes made, with either effort", () => {
      for (const [, input] of INPUTS) {
        for (const effort of ["runs", "matches"] as const) {
          const made = isNative
            ? deflateBytes(input, effort)
            : withoutBuiltins(() => deflateBytes(input, effort));
          expect(Buffer.compare(inflate(made, input.byteLength), input)).toBe(0);
        }
      }
    });
  });
}
