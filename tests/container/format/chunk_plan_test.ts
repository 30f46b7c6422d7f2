import { describe, expect, test } from "bun:test";
import type { DType } from "../../../src/base/dtype.ts";
import { OWN_CHUNKS_BYTES, planChunks } from "../../../src/container/format/chunk_plan.ts";
import { layoutTensors, type TensorSpec } from "../../../src/container/format/layout.ts";

const spec = (name: string, dtype: DType, count: number): TensorSpec => ({ name, dtype, shape: [count] });

describe("planChunks", () => {
  test("cuts pieces of the chunk size, and the rest", () => {
    const layout = layoutTensors([spec("a", "u8", 2500)]);
    expect(planChunks(layout, 1024).map((cut) => [cut.rawOffset, cut.rawLength])).toEqual([
      [0, 1024],
      [1024, 1024],
      [2048, 512],
    ]);
  });

  test("lets tensors of one dtype share a chunk, and cuts where the dtype changes", () => {
    const specs = [spec("a", "f32", 1), spec("b", "f32", 100), spec("c", "i8", 1), spec("d", "f32", 1)];
    expect(planChunks(layoutTensors(specs), 1 << 20)).toEqual([
      { rawOffset: 0, rawLength: 768, dtype: "f32", choice: "balanced" },
      { rawOffset: 768, rawLength: 256, dtype: "i8", choice: "balanced" },
      { rawOffset: 1024, rawLength: 256, dtype: "f32", choice: "balanced" },
    ]);
  });

  test("empty tensors and aliases neither make a chunk nor end one", () => {
    const specs: TensorSpec[] = [
      spec("none", "u8", 0),
      spec("a", "f32", 1),
      spec("nothing", "i64", 0),
      { ...spec("tied", "f32", 1), aliasOf: "a" },
      spec("b", "f32", 1),
    ];
    expect(planChunks(layoutTensors(specs), 1024)).toEqual([{
      rawOffset: 0,
      rawLength: 512,
      dtype: "f32",
      choice: "balanced",
    }]);
    expect(planChunks(layoutTensors([spec("none", "u8", 0)]), 1024)).toEqual([]);
  });

  test("a tensor of 8 MiB or more shares no chunk with its neighbours", () => {
    const large = OWN_CHUNKS_BYTES / 4;
    const specs = [spec("a", "f32", 100), spec("b", "f32", large), spec("c", "f32", 7), spec("d", "f32", 7)];
    const cutsOf = (elements: number) =>
      planChunks(
        layoutTensors(specs.map((each) => each.name === "b" ? spec("b", "f32", elements) : each)),
        1 << 24,
      )
        .map(({ rawOffset, rawLength }) => [rawOffset, rawLength]);
    expect(cutsOf(large)).toEqual([[0, 512], [512, OWN_CHUNKS_BYTES], [512 + OWN_CHUNKS_BYTES, 512]]);
    // One element less fits into the same bytes of the raw space, and shares.
    expect(cutsOf(large - 1)).toEqual([[0, 1024 + OWN_CHUNKS_BYTES]]);
  });

  test("two large tensors side by side, the last one at the end of the raw space", () => {
    const layout = layoutTensors([
      spec("a", "u8", OWN_CHUNKS_BYTES + 256),
      spec("b", "u8", OWN_CHUNKS_BYTES),
    ]);
    const cuts = planChunks(layout, 4 << 20);
    expect(cuts.map(({ rawLength }) => rawLength)).toEqual([4 << 20, 4 << 20, 256, 4 << 20, 4 << 20]);
  });

  test("cuts where the choice of codec changes, and not elsewhere", () => {
    const layout = layoutTensors(["a", "b", "c", "d"].map((name) => spec(name, "f32", 64)));
    const cuts = planChunks(layout, 1 << 20, (name) => (name < "c" ? "small" : "raw"));
    expect(cuts.map(({ rawOffset, rawLength, choice }) => [rawOffset, rawLength, choice])).toEqual([
      [0, 512, "small"],
      [512, 512, "raw"],
    ]);
  });

  test("refuses a chunk size that is no multiple of 256 from 256 to 16 MiB", () => {
    const layout = layoutTensors([]);
    for (const bytes of [0, -256, 255, 300, 256.5, NaN, Infinity, 16 * 1024 * 1024 + 256]) {
      expect(() => planChunks(layout, bytes)).toThrow(RangeError);
    }
    expect(planChunks(layout, 16 * 1024 * 1024)).toEqual([]);
  });
});
