import { describe, expect } from "bun:test";
import { BufferUsage } from "../../src/gpu/constants.ts";
import { copyRanges } from "../../src/gpu/copy_ranges.ts";
import { gpuTest } from "../helpers/gpu.ts";

describe("copyRanges", () => {
  gpuTest("copies each range to its place, and leaves out empty ones", async (gpu) => {
    const usage = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
    const [from, into] = [gpu.createBuffer("from", 16, usage), gpu.createBuffer("into", 16, usage)];
    gpu.write(from, 0, Uint8Array.from({ length: 16 }, (_, at) => at + 1));
    copyRanges(gpu, "some", [
      [{ buffer: from, offset: 0, size: 4 }, { buffer: into, offset: 8, size: 4 }],
      [{ buffer: from, offset: 16, size: 0 }, { buffer: into, offset: 16, size: 0 }],
      [{ buffer: from, offset: 8, size: 4 }, { buffer: into, offset: 0, size: 4 }],
    ]);
    const [bytes = new Uint8Array()] = await gpu.read([{ buffer: into, offset: 0, size: 16 }]);
    expect([...bytes]).toEqual([9, 10, 11, 12, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0]);
    for (const buffer of [from, into]) gpu.destroyBuffer(buffer);
  });
});
