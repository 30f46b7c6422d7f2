import { describe, expect, test } from "bun:test";
import { castBytes, type CastDType } from "../../../src/container/read/cast.ts";
import { ContainerReader } from "../../../src/container/read/container_reader.ts";
import { bytesSource } from "../../../src/container/source.ts";
import { writeContainer } from "../../../src/container/write/write_container.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { asBytes, FILE_ID, manifestOf, type Tensor, tensorOf } from "../samples.ts";

function u32(...bits: number[]): Uint8Array {
  return asBytes(Uint32Array.from(bits));
}

function u16(...bits: number[]): Uint8Array {
  return asBytes(Uint16Array.from(bits));
}

describe("castBytes", () => {
  const cases: [string, CastDType, Uint8Array, CastDType, Uint8Array][] = [
    ["ties go to even", "f32", u32(0x3f808000, 0x3f818000, 0x3f808001), "bf16", u16(0x3f80, 0x3f82, 0x3f81)],
    [
      "f16 ties go to even",
      "f32",
      u32(0x3f801000, 0x3f803000, 0x3f801001),
      "f16",
      u16(0x3c00, 0x3c02, 0x3c01),
    ],
    [
      "subnormal halves",
      "f32",
      u32(0x33000000, 0x33000001, 0x33c00000, 0x387fffff),
      "f16",
      u16(0, 1, 2, 0x400),
    ],
    [
      "what is too large is infinite",
      "f32",
      u32(0x477fefff, 0x477ff000, 0xff7fffff),
      "f16",
      u16(0x7bff, 0x7c00, 0xfc00),
    ],
    ["the largest floats overflow bf16", "f32", u32(0x7f7fffff, 0xff7f7fff), "bf16", u16(0x7f80, 0xff7f)],
    ["-0 and infinities", "f32", u32(0x80000000, 0x7f800000, 0xff800000), "f16", u16(0x8000, 0x7c00, 0xfc00)],
    [
      "NaN payloads, as far as there is room",
      "f32",
      u32(0x7fc12000, 0xffabcdef, 0x7f800001),
      "f16",
      u16(0x7e09, 0xfd5e, 0x7e00),
    ],
    [
      "NaN payloads in bf16",
      "f32",
      u32(0x7fc10000, 0xffabcdef, 0x7f800001),
      "bf16",
      u16(0x7fc1, 0xffab, 0x7fc0),
    ],
    [
      "f16 widens exactly",
      "f16",
      u16(0x3c01, 0x0001, 0x8000, 0x7e01, 0xfc00),
      "f32",
      u32(0x3f802000, 0x33800000, 0x80000000, 0x7fc02000, 0xff800000),
    ],
    [
      "bf16 widens exactly",
      "bf16",
      u16(0x3f81, 0x0001, 0xffc1),
      "f32",
      u32(0x3f810000, 0x00010000, 0xffc10000),
    ],
    [
      "f16 to bf16 rounds once",
      "f16",
      u16(0x3c04, 0x3c0c, 0x7e08, 0x7c01),
      "bf16",
      u16(0x3f80, 0x3f82, 0x7fc1, 0x7fc0),
    ],
    [
      "bf16 to f16 rounds what is small and large",
      "bf16",
      u16(0x3300, 0x3301, 0x4780, 0x7fc1),
      "f16",
      u16(0, 1, 0x7c00, 0x7e08),
    ],
  ];
  for (const [name, from, input, to, expected] of cases) {
    test(`${name}: ${from} to ${to}`, () => {
      const before = input.slice();
      expect(castBytes(input, from, to)).toEqual(expected);
      expect(input).toEqual(before);
      const odd = new Uint8Array(input.byteLength + 1);
      odd.set(input, 1);
      expect(castBytes(odd.subarray(1), from, to)).toEqual(expected);
    });
  }

  test("every f16 and bf16 comes back from f32 as it was", () => {
    const all = asBytes(Uint16Array.from({ length: 65_536 }, (_, i) => i));
    for (const dtype of ["f16", "bf16"] as const) {
      expect(Buffer.compare(castBytes(castBytes(all, dtype, "f32"), "f32", dtype), all)).toBe(0);
    }
  });
});

describe("cast on read", () => {
  const floats = Float32Array.from({ length: 2000 }, (_, i) => (i - 700) / 3);
  const tensors: Tensor[] = [
    { spec: { name: "w", dtype: "f32", shape: [50, 40] }, bytes: asBytes(floats) },
    tensorOf("h", "f16", [300], 1),
    tensorOf("ids", "i32", [5], 2),
  ];
  const open = async (): Promise<ContainerReader> =>
    await ContainerReader.open(bytesSource(
      await writeContainer({ tensors, chunkBytes: 512, fileId: FILE_ID, manifest: manifestOf(null) }),
    ));

  test("read, readInto, stream and readMany give the same elements", async () => {
    const reader = await open();
    for (const cast of ["f32", "f16", "bf16"] as const) {
      const expected = castBytes(asBytes(floats), "f32", cast);
      expect(await reader.read("w", { cast })).toEqual(expected);
      const into = cast === "f32" ? new Float32Array(2000) : new Uint16Array(2000);
      await reader.readInto("w", into, { cast });
      expect(asBytes(into)).toEqual(expected);
      const parts: Uint8Array[] = [];
      for await (const { byteOffset, bytes } of reader.stream("w", { cast })) {
        expect(byteOffset).toBe(parts.reduce((sum, part) => sum + part.byteLength, 0));
        parts.push(bytes.slice());
      }
      expect<Uint8Array>(new Uint8Array(Buffer.concat(parts))).toEqual(expected);
      for await (const { bytes } of reader.readMany(["w"], { cast })) expect(bytes).toEqual(expected);
    }
  });

  test("casts slices", async () => {
    const reader = await open();
    const rows = floats.subarray(3 * 40, 29 * 40);
    expect(await reader.read("w", { cast: "bf16", slice: { rows: [3, 29] } }))
      .toEqual(castBytes(asBytes(rows), "f32", "bf16"));
    expect(await reader.read("w", { cast: "f16", slice: { bytes: [8, 16] } }))
      .toEqual(castBytes(asBytes(floats.subarray(2, 4)), "f32", "f16"));
    const half = () => reader.read("w", { cast: "f16", slice: { bytes: [2, 16] } });
    expect(await thrownBy(half)).toBeInstanceOf(RangeError);
  });

  test("refuses what cannot be cast", async () => {
    const reader = await open();
    expect(await thrownBy(() => reader.read("ids", { cast: "f32" }))).toMatchObject({
      code: "dtype_mismatch",
    });
    const wrong = { cast: "f64" } as unknown as { cast: "f32" };
    expect(await thrownBy(() => reader.read("w", wrong))).toBeInstanceOf(TypeError);
    expect(await thrownBy(() => reader.readInto("w", new Float32Array(2000), { cast: "f16" })))
      .toBeInstanceOf(RangeError);
  });
});
