import { describe, expect } from "bun:test";
import { ProcessGroup } from "../../src/checkpoint/ranks/process_group.ts";
import { BufferUsage } from "../../src/gpu/constants.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { mostOpenSums } from "../../src/parallel/open_sums.ts";
import { type ReductionSettings, ShardReduction } from "../../src/parallel/shard_reduction.ts";
import { slicesOf } from "../../src/parallel/shards.ts";
import { piecesOf, type SumMemory } from "../../src/parallel/sum_memory.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { randomNumbers } from "../kernels/numbers.ts";

const STORAGE = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
/** Of two ranges of f32 and one of whole numbers. */
const SIZES = [256 * 5, 256 * 12, 256];

/** Whole numbers that add up otherwise where they are taken for f32: smaller ones do not. */
const LARGE = 2 ** 28;

/** Memory in three buffers, and what frees it. */
function allocate(gpu: GpuDevice): { memory: SumMemory; buffers: GPUBuffer[] } {
  const buffers = SIZES.map((size, index) => gpu.createBuffer(`range ${index}`, size, STORAGE));
  const memory = buffers.map((buffer, index) => {
    return {
      range: { buffer, offset: 0, size: SIZES[index] ?? 0 },
      integersFrom: index === 2 ? 0 : undefined,
    };
  });
  return { memory, buffers };
}

/** What shard `shard` adds to range `index`. */
function shardBytes(shard: number, index: number): Uint8Array {
  const count = (SIZES[index] ?? 0) / 4;
  const words = index === 2
    ? Uint32Array.from({ length: count }, (_, at) => LARGE + at * 1000 + shard)
    : randomNumbers(count, 10 * shard + index);
  return new Uint8Array(words.buffer);
}

/** The sum over `count` shards, as every rank of so many has it. */
async function sums(
  gpu: GpuDevice,
  ranks: number,
  shards: number,
  count: number,
  settings: ReductionSettings,
) {
  return await Promise.all(
    ProcessGroup.inMemory(ranks, { timeoutMs: 60_000 }).map(async (group, rank) => {
      const { first = 0, size = 0 } = slicesOf(shards, ranks)[rank] ?? {};
      const leaf = allocate(gpu);
      const slots = Array.from({ length: mostOpenSums(first, first + size) }, () => allocate(gpu));
      const memory = { leaf: leaf.memory, slots: slots.map((slot) => slot.memory) };
      const reduction = await ShardReduction.compile(gpu, { group, shards }, memory, settings);
      try {
        const own = Array.from({ length: size }, (_, index) => first + index).filter((shard) =>
          shard < count
        );
        for (let again = 0; again < 2; again++) {
          const told = await reduction.sum(count, own, (shard) => {
            leaf.buffers.forEach((buffer, index) => gpu.write(buffer, 0, shardBytes(shard, index)));
          }, Uint8Array.of(rank, 9));
          expect(told.map((message) => [...message])).toEqual(
            ranks === 1 ? [[0, 9]] : Array.from({ length: ranks }, (_, each) => [each, 9]),
          );
        }
        const [result] = slots;
        return (await gpu.read((result?.memory ?? []).map(({ range }) => range))).map((bytes) => [...bytes]);
      } finally {
        reduction.close();
        for (const buffer of [leaf, ...slots].flatMap((each) => each.buffers)) gpu.destroyBuffer(buffer);
      }
    }),
  );
}

describe("a sum over ranks", () => {
  gpuTest("has the same bits on any number of them, in pieces of any size", async (gpu) => {
    for (const [shards, count] of [[8, 8], [8, 5], [5, 5]] as const) {
      const [alone = []] = await sums(gpu, 1, shards, count, {});
      for (const ranks of [2, 3, 5]) {
        for (
          const settings of [{}, { pieceBytes: 512 }, { pieceBytes: 1536, sharedBytes: 0 }, {
            sharedBytes: 0,
          }]
        ) {
          for (const each of await sums(gpu, ranks, shards, count, settings)) expect(each).toEqual(alone);
        }
      }
    }
  });

  gpuTest("adds whole numbers as such", async (gpu) => {
    const [, [, , integers = []] = []] = await sums(gpu, 3, 4, 4, { pieceBytes: 512, sharedBytes: 0 });
    const words = new Uint32Array(Uint8Array.from(integers).buffer);
    expect([...words.slice(0, 3)]).toEqual([6, 4006, 8006].map((sum) => 4 * LARGE + sum));
  });

  gpuTest("is cut into pieces that are about equal", (gpu) => {
    const { memory, buffers } = allocate(gpu);
    const pieces = piecesOf(memory, 2048);
    expect(pieces.map(({ byteLength, integersFrom }) => [byteLength, integersFrom])).toEqual([
      [1536, 384],
      [1536, 384],
      [1536, 320],
    ]);
    expect(pieces.map(({ parts }) => parts.map(({ index, offset, size }) => [index, offset, size]))).toEqual([
      [[0, 0, 1280], [1, 0, 256]],
      [[1, 256, 1536]],
      [[1, 1792, 1280], [2, 0, 256]],
    ]);
    for (const buffer of buffers) gpu.destroyBuffer(buffer);
  });
});
