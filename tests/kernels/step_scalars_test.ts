import { describe, expect, test } from "bun:test";
import { encodeStepScalars, splitSeed, STEP_SCALARS_BYTES } from "../../src/kernels/step_scalars.ts";

describe("encodeStepScalars", () => {
  test("lays out seed, step and values as the uniform has them", () => {
    const bytes = encodeStepScalars({ seed: 0x1_0000_0002n, step: 3, firstExample: 7, values: [1.5, -2] });
    expect(bytes.byteLength).toBe(STEP_SCALARS_BYTES);
    const view = new DataView(bytes.buffer);
    expect([0, 4, 8, 12, 16].map((offset) => view.getUint32(offset, true))).toEqual([2, 1, 3, 0, 7]);
    expect([32, 36, 40, 92].map((offset) => view.getFloat32(offset, true))).toEqual([1.5, -2, 0, 0]);
  });

  test("writes into memory that is given, over what was there", () => {
    const memory = new Uint8Array(116).fill(255);
    const bytes = encodeStepScalars({ seed: 0, step: 0, values: [] }, memory.subarray(8));
    expect(bytes.buffer).toBe(memory.buffer);
    expect([...memory.subarray(0, 8)]).toEqual(new Array(8).fill(255));
    expect([...memory.subarray(8, 104)]).toEqual(new Array(96).fill(0));
    expect([...memory.subarray(104)]).toEqual(new Array(12).fill(255));
  });

  test("refuses too many values, an invalid step, and too little memory", () => {
    expect(() => encodeStepScalars({ seed: 0, step: 0, values: new Array(17).fill(0) })).toThrow(
      "16 values, not 17",
    );
    expect(() => encodeStepScalars({ seed: 0, step: -1, values: [] })).toThrow("not -1");
    expect(() => encodeStepScalars({ seed: 0, step: 2 ** 32, values: [] })).toThrow(
      "2^32 - 1, not 4294967296",
    );
    expect(() => encodeStepScalars({ seed: 0, step: 0, values: [] }, new Uint8Array(95))).toThrow(
      "96 bytes, not 95",
    );
  });
});

describe("splitSeed", () => {
  test("gives the same words for a number and a bigint", () => {
    for (const seed of [0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      expect(splitSeed(seed)).toEqual(splitSeed(BigInt(seed)));
    }
  });

  test("takes a bigint modulo 2^64", () => {
    expect(splitSeed(-1n)).toEqual([0xffff_ffff, 0xffff_ffff]);
    expect(splitSeed((1n << 64n) + 5n)).toEqual([5, 0]);
  });

  test("refuses invalid seeds", () => {
    for (const seed of [-1, 0.5, NaN, 2 ** 53]) expect(() => splitSeed(seed)).toThrow(RangeError);
  });
});
