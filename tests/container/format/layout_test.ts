import { describe, expect, test } from "bun:test";
import { layoutTensors, type TensorSpec } from "../../../src/container/format/layout.ts";
import { rawGaps } from "../../../src/container/format/raw_gaps.ts";
import { thrownBy } from "../../helpers/thrown.ts";

const f32 = (name: string, shape: number[], aliasOf?: string): TensorSpec =>
  aliasOf === undefined ? { name, dtype: "f32", shape } : { name, dtype: "f32", shape, aliasOf };

describe("layoutTensors", () => {
  test("starts each tensor at the next multiple of 256, in order", () => {
    const layout = layoutTensors([
      f32("a", [65]),
      { name: "b", dtype: "u8", shape: [256] },
      { name: "c", dtype: "bf16", shape: [] },
      f32("d", [3, 0]),
      f32("e", [64]),
    ]);
    expect(layout.tensors.map((tensor) => [tensor.name, tensor.rawOffset, tensor.byteLength])).toEqual([
      ["a", 0, 260],
      ["b", 512, 256],
      ["c", 768, 2],
      ["d", 1024, 0],
      ["e", 1024, 256],
    ]);
    expect(layout.rawByteLength).toBe(1280);
    expect(rawGaps(layout)).toEqual([{ start: 260, end: 512 }, { start: 770, end: 1024 }]);
  });

  test("puts an alias where its target is, and an alias of an alias too", () => {
    const { tensors, rawByteLength } = layoutTensors([
      f32("pad", [1]),
      f32("a", [8]),
      f32("b", [8], "a"),
      f32("c", [8], "b"),
      f32("d", [8]),
    ]);
    expect(tensors.map((tensor) => [tensor.rawOffset, tensor.aliasOf])).toEqual([
      [0, undefined],
      [256, undefined],
      [256, "a"],
      [256, "a"],
      [512, undefined],
    ]);
    expect(rawByteLength).toBe(768);
  });

  test("copies shapes, so that a caller may reuse its arrays", () => {
    const shape = [2];
    const layout = layoutTensors([f32("a", shape)]);
    shape[0] = 99;
    expect(layout.tensors[0]?.shape).toEqual([2]);
  });

  test("an empty list takes no bytes", () => {
    expect(layoutTensors([])).toEqual({ tensors: [], rawByteLength: 0 });
  });

  const refused: [string, TensorSpec[], typeof TypeError | typeof RangeError, RegExp][] = [
    ["two tensors of one name", [f32("a", []), f32("a", [])], TypeError, /two tensors named "a"/],
    ["a name that is no string", [f32(7 as unknown as string, [])], TypeError, /not a string/],
    ["an unknown dtype", [{ name: "a", dtype: "f8" as "f32", shape: [] }], TypeError, /"a" has the dtype f8/],
    [
      "a dtype from the prototype",
      [{ name: "a", dtype: "toString" as "f32", shape: [] }],
      TypeError,
      /toString/,
    ],
    ["nine dimensions", [f32("a", Array(9).fill(1))], RangeError, /9 dimensions/],
    ["a negative size", [f32("a", [2, -1])], RangeError, /\[2,-1\]: -1/],
    ["a fraction", [f32("a", [1.5])], RangeError, /1\.5/],
    ["NaN", [f32("a", [NaN])], RangeError, /NaN/],
    ["a size above 2^53", [f32("a", [2 ** 53])], RangeError, /9007199254740992/],
    ["a product that is no safe integer", [f32("a", [94906267, 94906267])], RangeError, /safe integer/],
    ["such a product hidden behind a zero", [f32("a", [2 ** 40, 2 ** 40, 0])], RangeError, /safe integer/],
    [
      "many ones and then too much",
      [f32("a", [1, 1, 1, 1, 1, 1, 2 ** 27, 2 ** 26])],
      RangeError,
      /safe integer/,
    ],
    [
      "a sum that is no safe integer",
      [f32("a", [2 ** 50]), f32("b", [2 ** 50]), f32("c", [2 ** 50])],
      RangeError,
      /safe/,
    ],
    ["an alias of nothing", [f32("a", [1], "b"), f32("b", [1])], TypeError, /"a" is an alias of "b"/],
    ["an alias of itself", [f32("a", [1], "a")], TypeError, /"a" is an alias of "a"/],
    ["an alias of another shape", [f32("a", [4]), f32("b", [2, 2], "a")], TypeError, /\[2,2\]/],
    [
      "an alias of another dtype",
      [f32("a", [4]), { name: "b", dtype: "i32", shape: [4], aliasOf: "a" }],
      TypeError,
      /i32/,
    ],
  ];
  for (const [name, specs, type, message] of refused) {
    test(`refuses ${name}`, async () => {
      const error = await thrownBy(() => layoutTensors(specs));
      expect(error).toBeInstanceOf(type);
      expect(error.message).toMatch(message);
    });
  }
});
