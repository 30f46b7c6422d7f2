import { describe, expect } from "bun:test";
import { slabRanges } from "../../src/tensor/slab_ranges.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { gpuTest } from "../helpers/gpu.ts";

const f32 = (name: string, count: number) => ({ name, dtype: "f32" as const, shape: [count] });

describe("slabRanges", () => {
  gpuTest("neighbours are one range with their padding, and what is left out is a gap", async (gpu) => {
    const store = TensorStore.on(gpu);
    const { tensors } = store.define("group", [
      f32("a", 3),
      f32("b", 65),
      f32("c", 1),
      f32("d", 64),
      f32("e", 0),
    ]);
    const rangesOf = (names: string) =>
      slabRanges(tensors.filter(({ name }) => names.includes(name.slice(-1)))).map((
        { slab, offset, byteLength },
      ) => [
        slab,
        offset,
        byteLength,
      ]);
    expect(rangesOf("abcde")).toEqual([[0, 0, 1280]]);
    expect(rangesOf("abd")).toEqual([[0, 0, 768], [0, 1024, 256]]);
    expect(rangesOf("bc")).toEqual([[0, 256, 768]]);
    expect(rangesOf("e")).toEqual([]);
    await store.close();
  });

  gpuTest("ranges do not go across slabs, and a tied tensor has no range of its own", async (gpu) => {
    const store = TensorStore.on(gpu, { slabBytes: 512 });
    const { tensors } = store.define("group", [f32("a", 64), f32("b", 64), f32("c", 64), {
      ...f32("d", 64),
      aliasOf: "a",
    }]);
    const found = slabRanges(tensors).map(({ slab, offset, byteLength }) => [slab, offset, byteLength]);
    expect(found).toEqual([[0, 0, 512], [1, 0, 256]]);
    await store.close();
  });
});
