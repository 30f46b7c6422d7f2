import { describe, expect, test } from "bun:test";
import { byteSizeOf, type DType } from "../../../src/base/dtype.ts";
import type { Codec } from "../../../src/container/codec/codec.ts";
import { decoderById, decoderByName } from "../../../src/container/codec/decoders.ts";
import { codecById, codecByName, type CodecName } from "../../../src/container/codec/table.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { ALL_DTYPES, asBytes, bytesOf, weightsOf, withoutBuiltins } from "../samples.ts";

/** Chunks that are dull, that are noise, and that are what training makes. */
function chunksOf(dtype: DType): [string, Uint8Array][] {
  const count = 256;
  const length = count * byteSizeOf(dtype);
  return [
    ["zeros", new Uint8Array(length)],
    ["ones", new Uint8Array(length).fill(255)],
    ["noise", bytesOf(length, 5)],
    ["a ramp", Uint8Array.from({ length }, (_, i) => i)],
    ["text", Uint8Array.from({ length }, (_, i) => "the quick brown fox ".charCodeAt(i % 20))],
    ["weights", asBytes(weightsOf(Math.ceil(length / 4), 1)).slice(0, length)],
    ["one element", new Uint8Array(byteSizeOf(dtype)).fill(3)],
  ];
}

/** Element counts around the widths of loops, and one above a segment's. */
const COUNTS = [0, 1, 2, 3, 4, 5, 63, 64, 65, 257, 65_537];

/** Bits that a codec must not touch: NaNs with payloads, both zeros, infinities, subnormals. */
const ODD_BITS = {
  f16: Uint16Array.of(0x7e00, 0x7c01, 0xfe55, 0xffff, 0x8000, 0, 0x7c00, 0xfc00, 1, 0x8001),
  bf16: Uint16Array.of(0x7fc0, 0x7f81, 0xffd5, 0xffff, 0x8000, 0, 0x7f80, 0xff80, 1, 0x8001),
  f32: Uint32Array.of(0x7fc00000, 0x7f800001, 0xffc12345, 0xffffffff, 0x80000000, 0, 0x7f800000, 1),
  f64: BigUint64Array.of(0x7ff8000000000000n, 0x7ff0000000000001n, 0xfff8123456789abcn, 1n << 63n, 0n, 1n),
};

/** A chunk of so many elements, with some structure and some noise. */
function chunkOf(count: number, dtype: DType): Uint8Array {
  const raw = new Uint8Array(count * byteSizeOf(dtype));
  const noise = bytesOf(raw.byteLength >>> 1, count);
  for (let i = 0; i < raw.byteLength; i++) {
    raw[i] = i & 1 ? (noise[i >>> 1] as number) & (noise[i >>> 2] as number) : i >>> 9;
  }
  return raw;
}

/** Encodes and decodes; where encoding does not pay nothing is said. */
function checkRoundTrip(codec: Codec, raw: Uint8Array, dtype: DType): Uint8Array | undefined {
  const stored = codec.encode(raw, dtype)?.slice();
  if (stored === undefined) return undefined;
  if (Buffer.compare(codec.decode(stored, raw.byteLength, dtype), raw) !== 0) {
    throw new Error(`${raw.byteLength} bytes of ${dtype} came back changed`);
  }
  return stored;
}

for (const name of ["raw", "deflate", "planes", "zstd", "levels"] as const satisfies CodecName[]) {
  const codec = codecByName(name);

  describe(`codec ${name}`, () => {
    test("is found by its number and has its name", () => {
      expect(codecById(codec.id)).toBe(codec);
      const { id, decode } = codec;
      for (const decoder of [decoderById(id), decoderByName(name)]) {
        expect([decoder?.id, decoder?.name, decoder?.decode === decode]).toEqual([id, name, true]);
      }
      expect(codec.name).toBe(name);
    });

    for (const dtype of ALL_DTYPES) {
      test(`gives back every chunk of ${dtype}, and does not touch its input`, () => {
        for (const [kind, raw] of chunksOf(dtype)) {
          const before = raw.slice();
          const stored = codec.encode(raw, dtype)?.slice();
          expect(raw).toEqual(before);
          if (stored === undefined) continue;
          const storedBefore = stored.slice();
          if (stored.byteLength > raw.byteLength) throw new Error(`${kind} grew to ${stored.byteLength}`);
          expect(codec.decode(stored, raw.byteLength, dtype)).toEqual(raw);
          expect(stored).toEqual(storedBefore);
        }
      });
    }

    test("gives back chunks of all sizes and dtypes", () => {
      for (const dtype of ALL_DTYPES) {
        for (const count of COUNTS) checkRoundTrip(codec, chunkOf(count, dtype), dtype);
      }
    });

    test("keeps every bit of NaNs, zeros, infinities and subnormals", () => {
      for (const [dtype, bits] of Object.entries(ODD_BITS) as [DType, typeof ODD_BITS.f32][]) {
        const odd = asBytes(bits);
        const raw = Uint8Array.from(
          { length: 320 * odd.byteLength },
          (_, i) => odd[i % odd.byteLength] as number,
        );
        if (checkRoundTrip(codec, raw, dtype) === undefined) throw new Error(`${dtype} did not pay`);
      }
    });

    test("a chunk of one byte throughout stays above what a reader takes for a bomb", () => {
      for (const dtype of ALL_DTYPES) {
        const stored = checkRoundTrip(codec, new Uint8Array(1 << 20).fill(0), dtype);
        expect((stored?.byteLength ?? 0) * 1032).toBeGreaterThanOrEqual(1 << 20);
      }
    });

    test("flipped bits give the wrong bytes or an error, and nothing else", async () => {
      const raw = asBytes(Float32Array.from({ length: 512 }, (_, i) => Math.fround(i * 0.001)));
      const stored = checkRoundTrip(codec, raw, "f32");
      if (stored === undefined) throw new Error("did not pay");
      for (let bit = 0; bit < 8 * stored.byteLength; bit += stored.byteLength > 1000 ? 7 : 1) {
        const flipped = stored.slice();
        flipped[bit >>> 3] = (flipped[bit >>> 3] as number) ^ (1 << (bit & 7));
        await expectRefusalOr(codec, flipped, raw.byteLength);
      }
    });

    test("junk gives an error or the right number of bytes", async () => {
      for (let seed = 0; seed < 300; seed++) await expectRefusalOr(codec, bytesOf(seed * 3, seed), 1024);
    });

    test("takes views that begin at odd addresses", () => {
      for (const dtype of ALL_DTYPES) {
        const shifted = new Uint8Array(1 + 256 * byteSizeOf(dtype)).fill(7).subarray(1);
        const stored = codec.encode(shifted, dtype);
        if (stored === undefined) throw new Error("equal bytes did not pay");
        const moved = new Uint8Array(stored.byteLength + 3);
        moved.set(stored, 3);
        expect(codec.decode(moved.subarray(3), shifted.byteLength, dtype)).toEqual(shifted);
      }
    });

    test("two chunks in a row do not disturb each other", () => {
      const first = asBytes(Uint32Array.from({ length: 512 }, (_, i) => i % 5));
      const second = asBytes(Uint32Array.from({ length: 512 }, (_, i) => i % 7));
      const a = codec.encode(first, "f32");
      const b = codec.encode(second, "f32");
      if (a === undefined || b === undefined) throw new Error("did not pay");
      expect(codec.decode(a, first.byteLength, "f32")).toEqual(first);
      expect(codec.decode(b, second.byteLength, "f32")).toEqual(second);
    });

    test("refuses stored bytes that are cut anywhere, go on, or are of another length", async () => {
      const raw = asBytes(Float32Array.from({ length: 256 }, (_, i) => i / 256));
      const stored = codec.encode(raw, "f32");
      if (stored === undefined) throw new Error("did not pay");
      const wrong: Uint8Array[] = [];
      for (let length = 0; length < stored.byteLength; length++) wrong.push(stored.subarray(0, length));
      for (const more of [1, 2, 4, 100]) {
        const longer = new Uint8Array(stored.byteLength + more);
        longer.set(stored);
        wrong.push(longer);
      }
      for (const bytes of wrong) {
        for (
          const decode of [
            codec.decode,
            (...all: Parameters<typeof codec.decode>) => withoutBuiltins(() => codec.decode(...all)),
          ]
        ) {
          const error = await thrownBy(() => decode(bytes, raw.byteLength, "f32"));
          if (error.code !== "invalid_container") throw error;
        }
      }
      for (const length of [raw.byteLength - 4, raw.byteLength + 4, 4, 0]) {
        expect((await thrownBy(() => codec.decode(stored, length, "f32"))).code).toBe("invalid_container");
      }
    });
  });
}

/** Decodes damaged bytes, with and without what the runtime has built in. */
async function expectRefusalOr(codec: Codec, stored: Uint8Array, rawLength: number): Promise<void> {
  const decode = (): Uint8Array => codec.decode(stored, rawLength, "f32");
  for (const attempt of [decode, () => withoutBuiltins(decode)]) {
    try {
      expect(attempt().byteLength).toBe(rawLength);
    } catch {
      expect((await thrownBy(attempt)).code).toBe("invalid_container");
    }
  }
}

test("an unknown codec has no number and no name", () => {
  for (const id of [5, 6, 255, -1, NaN]) {
    expect([codecById(id), decoderById(id)]).toEqual([undefined, undefined]);
  }
  for (const name of ["lz4", "", "constructor"]) {
    expect(() => codecByName(name as CodecName)).toThrow(TypeError);
    expect(() => decoderByName(name as CodecName)).toThrow(TypeError);
  }
});
