import { Buffer } from "node:buffer";
import { describe, expect, test } from "bun:test";
import { byteSizeOf, type DType } from "../../../../src/base/dtype.ts";
import { levelsBytes, levelsCodec } from "../../../../src/container/codec/levels/levels.ts";
import { type Group, packGroup, unpackGroup } from "../../../../src/container/codec/levels/levels_format.ts";
import { thrownBy } from "../../../helpers/thrown.ts";
import { ALL_DTYPES, asBytes, bytesOf, weightsOf } from "../../samples.ts";

/** Bits of information in exponents, as an order-0 code sees them. */
function entropyBits(exponents: Uint8Array): number {
  const counts = new Float64Array(256);
  for (const exponent of exponents) counts[exponent] = (counts[exponent] as number) + 1;
  return counts.reduce((bits, n) => (n === 0 ? bits : bits - n * Math.log2(n / exponents.length)), 0);
}

function wordsOf(raw: Uint8Array, dtype: DType): Uint32Array {
  return new Uint32Array(levelsBytes(raw, dtype).slice().buffer);
}

/** A chunk of one group. */
function stored(rawLength: number, head: Partial<Group>, ...body: number[]): Uint8Array {
  const group = { words: body.length, base: 0, kind: 0, hasMask: false, zeroBytes: 0, restBits: 0, ...head };
  return asBytes(Uint32Array.of(rawLength, packGroup(group), ...body));
}

describe("codec levels", () => {
  test("stores weights within 3 % of the entropy of their exponents, the others whole", () => {
    const weights = weightsOf(1 << 18, 3);
    const words = new Uint32Array(weights.buffer);
    const entropy = entropyBits(Uint8Array.from(words, (word) => (word >>> 23) & 255)) / 8;
    const f32 = levelsBytes(asBytes(weights), "f32").byteLength;
    expect(f32).toBeLessThan(1.015 * (entropy + 3 * weights.length));
    const bf16 = levelsBytes(asBytes(Uint16Array.from(words, (word) => word >>> 16)), "bf16").byteLength;
    expect(bf16).toBeLessThan(1.03 * (entropy + weights.length));
  });

  test("says in a head what its group is like", () => {
    const weights = weightsOf(1024, 1);
    const first = (values: Float32Array): Group => unpackGroup(wordsOf(asBytes(values), "f32")[1] as number);
    expect(first(weights).restBits).toBe(24);
    expect(first(weights.map((x) => Math.abs(x))).restBits).toBe(23);
    const rounded = first(Float32Array.from(weights, (x) => Math.round(x * 512) / 512));
    expect(rounded.zeroBytes).toBe(2);
    expect(first(weights.map((x, i) => i % 9 ? x : 0)).hasMask).toBe(true);
    expect(first(weights.map((x, i) => i % 40 ? x : 0)).hasMask).toBe(false);
    expect(first(new Float32Array(1024)).kind).toBe(6);
    expect(first(new Float32Array(1024).fill(-3)).kind).toBe(0);
    const noise = new Float32Array(bytesOf(4096, 1).buffer);
    expect(first(noise)).toEqual({
      words: 1024,
      base: 0,
      kind: 7,
      hasMask: false,
      zeroBytes: 0,
      restBits: 0,
    });
  });

  test("gives back items in every kind of group, mask and place", () => {
    for (const dtype of ALL_DTYPES) {
      const size = byteSizeOf(dtype);
      for (const count of [1, 3, 31, 32, 33, 1023, 1024, 1025, 2049]) {
        for (const spread of [0, 1, 3, 8, 30, 200]) {
          const raw = asBytes(
            Float32Array.from(
              weightsOf(count * 2, count),
              (x, i) => (i * 7) % 11 < spread % 4 ? 0 : x * 2 ** Math.round(spread * Math.sin(i)),
            ),
          ).slice(0, count * size);
          const bytes = levelsBytes(raw, dtype);
          if (Buffer.compare(levelsCodec.decode(bytes, raw.byteLength, dtype), raw) === 0) continue;
          throw new Error(`${count} of ${dtype}, spread ${spread}, came back changed`);
        }
      }
    }
  });

  test("is as FORMAT.md says", () => {
    const values = new Float32Array(64).fill(1);
    values.set([0.5, -1.25, 0.25, 64, 0.125], 1);
    const expected = new Uint32Array(23);
    expected.set([256, 0x110bf815, 0x3a, 0, 0xe, 6, 0x7c85, 0x00a00000]);
    expect(wordsOf(asBytes(values), "f32")).toEqual(expected);
  });

  test("refuses what no writer makes", async () => {
    const equal = { kind: 0, base: 127, restBits: 8 };
    const levels = { kind: 1, base: 1, restBits: 0 };
    const wrong: [problem: string, bytes: Uint8Array, rawLength: number, dtype?: DType][] = [
      ["no whole number of f32", stored(5, equal, 1), 5],
      ["2 words, for 2 groups", stored(4100, equal), 4100],
      ["says it has 20 raw bytes, not 16", stored(20, equal, 1), 16],
      ["it has 11 bytes", stored(16, equal, 1).subarray(1), 16],
      ["has 0 left", stored(16, { ...equal, words: 1 }), 16],
      ["ends early", stored(16, { ...equal, words: 0 }), 16],
      ["1 words too many", stored(16, equal, 1, 0), 16],
      ["1 words follow", asBytes(Uint32Array.of(16, packGroup({ ...unpackGroup(0), kind: 6 }), 0)), 16],
      ["a group that is not coded has 1 words, of 0", stored(16, { kind: 6 }, 0), 16],
      ["says more than that", stored(16, { kind: 6, restBits: 1 }), 16],
      ["of 4, or says more", stored(16, { kind: 7 }, 0), 16],
      ["25 bits above 0, of 24", stored(16, { ...equal, restBits: 25 }, 1, 1, 1, 1), 16],
      ["17 bits above 8, of 24", stored(16, { ...equal, restBits: 17, zeroBytes: 1 }, 1, 1, 1), 16],
      ["has the base 7", stored(16, { kind: 5, base: 7 }, 1), 16],
      ["has the base 32", stored(16, { kind: 0, base: 32 }), 16, "f16"],
      ["bits behind a row", stored(8, { ...equal, restBits: 4 }, 0x10000), 8],
      // Of four items, two are 1, and one of the others is 0. The last one's code is for less than that.
      ["an unknown exponent", stored(16, levels, 0b1100, 0b10, 0b0), 16],
      ["bytes behind its last element", stored(3, { kind: 7 }, 0x01000000), 3, "u8"],
    ];
    for (const [problem, bytes, rawLength, dtype = "f32"] of wrong) {
      const error = await thrownBy(() => levelsCodec.decode(bytes, rawLength, dtype));
      expect([error.code, error.message]).toEqual(["invalid_container", expect.stringContaining(problem)]);
    }
  });
});
