import { describe, expect, test } from "bun:test";
import { decodeBfloat16, decodeFloat16, encodeBfloat16, encodeFloat16 } from "../../src/base/float16.ts";

const ALL_BITS = Uint16Array.from({ length: 65_536 }, (_, i) => i);

/** The value of 16 bits by the formula of IEEE 754, slowly. */
function valueOf(bits: number, fractionBits: number): number {
  const exponentBits = 15 - fractionBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits & 0x7fff) >> fractionBits;
  const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (exponent - bias);
}

/** A float with these bits; reading it as a number and writing it back could change a NaN. */
function floatOfBits(...bits: number[]): Float32Array {
  return new Float32Array(Uint32Array.from(bits).buffer);
}

const formats = [
  { name: "f16", fractionBits: 10, encode: encodeFloat16, decode: decodeFloat16 },
  { name: "bf16", fractionBits: 7, encode: encodeBfloat16, decode: decodeBfloat16 },
];

for (const { name, fractionBits, encode, decode } of formats) {
  describe(name, () => {
    test("decodes every one of the 65 536 values as IEEE 754 says", () => {
      const decoded = decode(ALL_BITS);
      for (let i = 0; i < 65_536; i++) {
        if (!Object.is(decoded[i], valueOf(i, fractionBits))) {
          expect([i, decoded[i]]).toEqual([i, valueOf(i, fractionBits)]);
        }
      }
    });

    test("gives back the same bits for every value, NaN payloads and infinities included", () => {
      expect(encode(decode(ALL_BITS))).toEqual(ALL_BITS);
    });

    test("rounds to the nearest value, halves to the even one, between all neighbours", () => {
      const last = valueOf(infinityBits(fractionBits) - 1, fractionBits);
      for (let bits = 0; bits < infinityBits(fractionBits) - 1; bits++) {
        const low = valueOf(bits, fractionBits);
        const high = valueOf(bits + 1, fractionBits);
        const middle = (low + high) / 2;
        const even = bits % 2 === 0 ? bits : bits + 1;
        const step = (high - low) / 1024;
        const encoded = [...encode([low, middle - step, middle, middle + step, -middle])];
        const expected = [bits, bits, even, bits + 1, even | 0x8000];
        if (encoded.join() !== expected.join()) expect([bits, ...encoded]).toEqual([bits, ...expected]);
      }
      expect(last).toBeGreaterThan(60_000);
    });

    test("becomes infinite from half a step above the largest value on", () => {
      const largest = infinityBits(fractionBits) - 1;
      const last = valueOf(largest, fractionBits);
      const half = (last - valueOf(largest - 1, fractionBits)) / 2;
      const encoded = encode([last, last + half * 0.999, last + half, last * 2, Infinity, -Infinity, -1e300]);
      const infinite = infinityBits(fractionBits);
      expect([...encoded]).toEqual([
        largest,
        largest,
        infinite,
        infinite,
        infinite,
        infinite | 0x8000,
        infinite | 0x8000,
      ]);
    });

    test("keeps the sign of zero, and of what is too small to be anything else", () => {
      expect([...encode([0, -0, 1e-300, -1e-300, 5e-324])]).toEqual([0, 0x8000, 0, 0x8000, 0]);
    });

    test("keeps a NaN a NaN when all of its payload is cut off", () => {
      const [positive, negative] = encode(floatOfBits(0x7f800001, 0xff800001));
      const quiet = infinityBits(fractionBits) | (1 << (fractionBits - 1));
      expect([positive, negative]).toEqual([quiet, quiet | 0x8000]);
      expect([...encode([NaN])]).toEqual([quiet]);
    });
  });
}

function infinityBits(fractionBits: number): number {
  return fractionBits === 10 ? 0x7c00 : 0x7f80;
}

test("a double is rounded once, not first to a float and then to a half", () => {
  // As a float it is exactly between two halves and would go to the even one below.
  const value = 1 + 2 ** -11 + 2 ** -30;
  expect([...encodeFloat16([value])]).toEqual([0x3c01]);
  expect([...encodeFloat16([Math.fround(value)])]).toEqual([0x3c00]);
});

test("a view into a larger array is read at its own offset", () => {
  const floats = floatOfBits(0x7fc12345, 0x3f800000, 0x7fe00000, 0x40000000);
  expect([...encodeBfloat16(floats.subarray(1, 3))]).toEqual([0x3f80, 0x7fe0]);
});
