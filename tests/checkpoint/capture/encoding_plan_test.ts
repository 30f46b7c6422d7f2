import { expect, test } from "bun:test";
import { type EncodableCut, planEncoding } from "../../../src/checkpoint/capture/encoding_plan.ts";
import type { BufferRange } from "../../../src/gpu/buffer_range.ts";
import { BufferUsage } from "../../../src/gpu/constants.ts";

/** Buffers as far as they are looked at. */
const [A, B, MAPPED] = [
  { label: "a", usage: BufferUsage.STORAGE },
  { label: "b", usage: BufferUsage.STORAGE },
  { label: "mapped", usage: BufferUsage.MAP_READ },
] as unknown as [GPUBuffer, GPUBuffer, GPUBuffer];

const range = (buffer: GPUBuffer, offset: number, size: number): BufferRange => ({ buffer, offset, size });

/** So many chunks of 1 KiB; those with a gap are not for the GPU. */
function cutsOf(count: number, gaps: readonly number[] = []): EncodableCut[] {
  return Array.from({ length: count }, (_, index) => ({
    rawOffset: 1024 * index,
    rawLength: 1024,
    dtype: "f32",
    isForGpu: !gaps.includes(index),
  }));
}

/** Steps as "gpu" or "raw" with their bytes in each buffer. */
function planned(
  ranges: readonly BufferRange[],
  cuts: readonly EncodableCut[],
  { streamedBytes = 0, leastBytes = 0, maxSourceBytes = 1 << 20 } = {},
): string[] {
  const steps = planEncoding({ ranges, streamedBytes, maxSourceBytes }, { cuts, leastBytes });
  return steps.map(({ source, ranges }) => {
    if (source !== undefined) expect(ranges).toEqual([source.range]);
    const bytes = ranges.map(({ buffer, offset, size }) => `${buffer.label}@${offset}+${size}`);
    return `${source === undefined ? "raw" : "gpu"} ${bytes.join(" ")}`;
  });
}

test("what the GPU may encode is encoded, and the rest is read back in as few pieces as that can be", () => {
  expect(planned([range(A, 0, 4096)], cutsOf(4))).toEqual(["gpu a@0+4096"]);
  expect(planned([range(A, 0, 6144)], cutsOf(6, [2, 3]))).toEqual([
    "gpu a@0+2048",
    "raw a@2048+2048",
    "gpu a@4096+2048",
  ]);
  expect(planned([range(A, 0, 2560), range(B, 256, 1536)], cutsOf(4))).toEqual([
    "gpu a@0+2048",
    "raw a@2048+512 b@256+512",
    "gpu b@768+1024",
  ]);
});

test("a chunk that goes on with what is not on the GPU is read back as far as it is there", () => {
  expect(planned([range(A, 0, 2304)], cutsOf(5))).toEqual(["gpu a@0+2048", "raw a@2048+256"]);
  expect(planned([range(A, 512, 256)], cutsOf(1))).toEqual(["raw a@512+256"]);
  expect(planned([], cutsOf(2))).toEqual([]);
});

test("rows that are too short, what is streamed, and memory that no kernel can read come raw", () => {
  const cuts = cutsOf(6, [2]);
  const ranges = [range(A, 0, 6144)];
  expect(planned(ranges, cuts, { leastBytes: 3072 })).toEqual(["raw a@0+3072", "gpu a@3072+3072"]);
  expect(planned(ranges, cuts, { leastBytes: Infinity })).toEqual(["raw a@0+6144"]);
  expect(planned(ranges, cuts, { streamedBytes: 1025 })).toEqual(["raw a@0+3072", "gpu a@3072+3072"]);
  expect(planned([range(MAPPED, 0, 3072), range(B, 0, 3072)], cuts)).toEqual([
    "raw mapped@0+3072",
    "gpu b@0+3072",
  ]);
  expect(planned(ranges, cuts, { maxSourceBytes: 2048 })).toEqual([
    "gpu a@0+2048",
    "raw a@2048+1024",
    "gpu a@3072+2048",
    "gpu a@5120+1024",
  ]);
});
