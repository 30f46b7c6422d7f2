import { describe, expect, test } from "bun:test";
import { deflateCodec } from "../../../../src/container/codec/deflate/deflate.ts";
import { thrownBy } from "../../../helpers/thrown.ts";
import { asBytes, bytesOf, weightsOf } from "../../samples.ts";

describe("the deflate codec", () => {
  test("saves what there is to save on weights: the exponents", () => {
    const f32 = asBytes(weightsOf(1 << 16, 1));
    const stored = deflateCodec.encode(f32, "f32");
    expect(f32.byteLength / (stored?.byteLength ?? Infinity)).toBeGreaterThan(1.17);
    // bf16 is the upper half of f32.
    const halves = new Uint16Array(f32.buffer).filter((_, i) => i % 2 === 1);
    const bf16 = deflateCodec.encode(asBytes(halves), "bf16");
    expect(halves.byteLength / (bf16?.byteLength ?? Infinity)).toBeGreaterThan(1.45);
  });

  test("makes next to nothing of zeros, as moments are at the start", () => {
    const stored = deflateCodec.encode(new Uint8Array(1 << 20), "f32");
    expect(stored?.byteLength).toBeLessThan(2000);
  });

  test("stores noisy planes as they are, in front of the others", () => {
    const raw = asBytes(weightsOf(1 << 14, 3));
    const stored = deflateCodec.encode(raw, "f32") ?? new Uint8Array(0);
    const lengths = [...new Uint32Array(stored.buffer, stored.byteOffset, 4)];
    expect(lengths.slice(0, 2)).toEqual([1 << 14, 1 << 14]);
    expect(lengths[3]).toBeLessThan((1 << 14) / 2);
    expect(stored[16]).toBe(raw[0]);
    expect(stored[17]).toBe(raw[4]);
  });

  test("says so when it does not pay", () => {
    expect(deflateCodec.encode(bytesOf(4096, 1), "u8")).toBeUndefined();
    expect(deflateCodec.encode(bytesOf(4096, 1), "f32")).toBeUndefined();
    expect(deflateCodec.encode(new Uint8Array(0), "f32")).toBeUndefined();
  });

  const raw = new Uint8Array(1024);
  const stored = deflateCodec.encode(raw, "f32") ?? new Uint8Array(0);
  const withLength = (plane: number, length: number): Uint8Array => {
    const copy = stored.slice();
    new DataView(copy.buffer).setUint32(4 * plane, length, true);
    return copy;
  };
  const first = new DataView(stored.buffer, stored.byteOffset).getUint32(0, true);
  const refused: [string, Uint8Array][] = [
    ["no table of planes", stored.subarray(0, 15)],
    ["a plane longer than its elements", withLength(0, 257)],
    ["a plane that reaches past the end", withLength(3, first + 1)],
    ["a length of 4 GiB", withLength(2, 0xffff_ffff)],
    ["an empty plane", withLength(0, 0)],
    ["bytes behind the last plane", withLength(3, first - 1)],
  ];
  for (const [name, bytes] of refused) {
    test(`refuses ${name}`, async () => {
      expect((await thrownBy(() => deflateCodec.decode(bytes, raw.byteLength, "f32"))).code).toBe(
        "invalid_container",
      );
    });
  }

  test("refuses a raw length that is no multiple of the element size", async () => {
    expect((await thrownBy(() => deflateCodec.decode(stored, 1022, "f32"))).code).toBe("invalid_container");
  });
});
