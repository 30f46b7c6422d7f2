import { describe, expect, test } from "bun:test";
import { byteSizeOf, type DType } from "../../../src/base/dtype.ts";
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

for (const name of ["raw", "deflate"] as const satisfies CodecName[]) {
  const codec = codecByName(name);

  describe(`codec ${name}`, () => {
    test("is found by its number and has its name", () => {
      expect(codecById(codec.id)).toBe(codec);
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

test("an unknown codec has no number and no name", () => {
  for (const id of [2, 3, 255, -1, NaN]) expect(codecById(id)).toBeUndefined();
  for (const name of ["zstd", "", "constructor"]) {
    expect(() => codecByName(name as CodecName)).toThrow(TypeError);
  }
});
