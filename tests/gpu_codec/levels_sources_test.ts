import { expect, test } from "bun:test";
import type { DType } from "../../src/base/dtype.ts";
import type { BufferRange } from "../../src/gpu/buffer_range.ts";
import { levelsSources, type RawCut } from "../../src/gpu_codec/levels_sources.ts";

/** Buffers that are only compared. */
const [A, B] = [{ label: "a" }, { label: "b" }] as unknown as [GPUBuffer, GPUBuffer];

function cutsOf(...pieces: [dtype: DType, ...lengths: number[]][]): RawCut[] {
  let rawOffset = 0;
  return pieces.flatMap(([dtype, ...lengths]) =>
    lengths.map((rawLength) => {
      rawOffset += rawLength;
      return { rawOffset: rawOffset - rawLength, rawLength, dtype };
    })
  );
}

const range = (buffer: GPUBuffer, offset: number, size: number): BufferRange => ({ buffer, offset, size });

test("chunks of one dtype in one buffer are one source, with a shorter one at its end", () => {
  const cuts = cutsOf(["f32", 1024, 1024, 512], ["i32", 256]);
  expect(levelsSources(cuts, [range(A, 256, 2816)], 1 << 20)).toEqual([
    {
      firstCut: 0,
      cuts: 3,
      source: { range: range(A, 256, 2560), dtype: "f32", chunkBytes: 1024 },
      ranges: [range(A, 256, 2560)],
    },
    {
      firstCut: 3,
      cuts: 1,
      source: { range: range(A, 2816, 256), dtype: "i32", chunkBytes: 256 },
      ranges: [range(A, 2816, 256)],
    },
  ]);
});

test("what follows a shorter chunk, or is longer, is another source", () => {
  const spans = levelsSources(cutsOf(["f32", 1024, 512, 512, 768]), [range(A, 0, 2816)], 1 << 20);
  expect(spans.map(({ firstCut, cuts }) => [firstCut, cuts])).toEqual([[0, 2], [2, 1], [3, 1]]);
});

test("chunks across two buffers are for the CPU, with all their pieces", () => {
  const cuts = cutsOf(["f32", 1024, 1024, 1024, 1024]);
  const spans = levelsSources(cuts, [range(A, 0, 1280), range(B, 512, 2816)], 1 << 20);
  expect(spans.map(({ firstCut, cuts, source }) => [firstCut, cuts, source?.range])).toEqual([
    [0, 1, range(A, 0, 1024)],
    [1, 1, undefined],
    [2, 2, range(B, 1280, 2048)],
  ]);
  expect(spans[1]?.ranges).toEqual([range(A, 1024, 256), range(B, 512, 768)]);
});

test("what is read back raw is one range where it lies together", () => {
  const cuts = cutsOf(["f32", 1024, 1024, 1024, 512]);
  const ranges = [range(A, 256, 1536), range(A, 2048, 1024), range(B, 0, 1024)];
  const spans = levelsSources(cuts, ranges, 1 << 20, () => false);
  expect(spans.map(({ cuts, ranges }) => [cuts, ranges])).toEqual([[4, ranges]]);
});

test("chunks that are left out, off the grid or too large are for the CPU together", () => {
  const cuts = cutsOf(["f32", 1024, 1024], ["u8", 1024]);
  const whole = [range(A, 0, 3072)];
  expect(
    levelsSources(cuts, whole, 1 << 20, ({ dtype }) => dtype !== "f32").map(({ cuts, source }) => [
      cuts,
      source?.dtype,
    ]),
  ).toEqual([[2, undefined], [1, "u8"]]);
  expect(levelsSources(cuts, [range(A, 128, 3072)], 1 << 20).map(({ cuts }) => cuts)).toEqual([3]);
  expect(levelsSources(cuts, whole, 512).map(({ source }) => source)).toEqual([undefined]);
  expect(levelsSources(cuts, whole, 1024).map(({ cuts }) => cuts)).toEqual([1, 1, 1]);
});

test("cuts that are longer than the ranges are refused", () => {
  expect(() => levelsSources(cutsOf(["f32", 1024]), [range(A, 0, 768)], 1024)).toThrow(
    "256 bytes of a chunk",
  );
  expect(levelsSources([], [], 1024)).toEqual([]);
});
