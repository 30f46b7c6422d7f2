import { describe, expect } from "bun:test";
import { ProcessGroup } from "../../src/checkpoint/ranks/process_group.ts";
import { BufferUsage } from "../../src/gpu/constants.ts";
import { Gather } from "../../src/parallel/gather.ts";
import { gpuTest } from "../helpers/gpu.ts";

const USAGE = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
/** What each rank gives, in ranges of 256 bytes: by the first and how many. */
const RANGES = [[[0, 1], [4, 5]], [[1, 3]], [], [[9, 2]]] as const;

describe("a gathering", () => {
  gpuTest(
    "has every rank have what each gives, in pieces of any size, also of a rank that gives nothing",
    async (gpu) => {
      for (const pieceBytes of [1024, 8 * 1024 * 1024]) {
        const all = await Promise.all(
          ProcessGroup.inMemory(RANGES.length, { timeoutMs: 60_000 }).map(async (group, rank) => {
            const buffer = gpu.createBuffer("row", 11 * 256, USAGE);
            const memory = RANGES.map((ranges) =>
              ranges.map(([first, count]) => ({ range: { buffer, offset: 256 * first, size: 256 * count } }))
            );
            const gather = new Gather(gpu, group, memory, pieceBytes);
            const rows: number[][] = [];
            for (let again = 0; again < 2; again++) {
              for (const [first, count] of RANGES[rank] ?? []) {
                const bytes = Uint8Array.from(
                  { length: 256 * count },
                  (_, at) => 100 * again + 20 * rank + at % 19,
                );
                gpu.write(buffer, 256 * first, bytes);
              }
              await gather.run();
              rows.push([...(await gpu.read([{ buffer, offset: 0, size: 11 * 256 }]))[0] ?? []]);
            }
            gpu.destroyBuffer(buffer);
            return rows;
          }),
        );
        const byRank = (again: number): number[] => {
          const row = Array.from({ length: 11 * 256 }, () => -1);
          RANGES.forEach((ranges, rank) =>
            ranges.forEach(([first, count]) => {
              for (let at = 0; at < 256 * count; at++) {
                row[256 * first + at] = 100 * again + 20 * rank + at % 19;
              }
            })
          );
          return row;
        };
        const expected = [byRank(0), byRank(1)];
        expect(all).toEqual([expected, expected, expected, expected]);
      }
    },
  );
});
