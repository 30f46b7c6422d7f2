import { describe, expect, test } from "bun:test";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { ContainerWriter } from "../../src/container/write/container_writer.ts";
import type { TensorSpec } from "../../src/container/format/layout.ts";
import type { ByteSource } from "../../src/container/source.ts";
import { peakGrowth } from "../helpers/peak_memory.ts";
import { bytesOf, FILE_ID, manifestOf } from "./samples.ts";

const MiB = 1024 * 1024;
const DATA_START = 4096;
const block = bytesOf(MiB, 1);

/** A raw file of `blocks` times the same MiB, of which only the two ends are in memory. */
async function largeFile(
  tensors: readonly TensorSpec[],
  blocks: number,
): Promise<ByteSource & { longest: number; total: number }> {
  const ends = new Map<number, Uint8Array>();
  let at = 0;
  const sink = {
    write(bytes: Uint8Array): Promise<void> {
      if (at < DATA_START || at >= DATA_START + blocks * MiB) ends.set(at, bytes.slice());
      at += bytes.byteLength;
      return Promise.resolve();
    },
  };
  const writer = await ContainerWriter.create(sink, { tensors, codec: "raw", fileId: FILE_ID });
  for (let index = 0; index < blocks; index++) await writer.write(block);
  await writer.finish(manifestOf(null));
  const source = {
    byteLength: at,
    longest: 0,
    total: 0,
    read(offset: number, into: Uint8Array): Promise<void> {
      source.longest = Math.max(source.longest, into.byteLength);
      source.total += into.byteLength;
      for (let filled = 0; filled < into.byteLength;) {
        const from = offset + filled;
        const piece = pieceAt(from);
        const length = Math.min(piece.byteLength, into.byteLength - filled);
        into.set(piece.subarray(0, length), filled);
        filled += length;
      }
      return Promise.resolve();
    },
  };
  const pieceAt = (offset: number): Uint8Array => {
    if (offset >= DATA_START && offset < DATA_START + blocks * MiB) {
      return block.subarray((offset - DATA_START) % MiB);
    }
    for (const [start, bytes] of ends) {
      if (start <= offset && offset < start + bytes.byteLength) return bytes.subarray(offset - start);
    }
    throw new Error(`nothing at ${offset}`);
  };
  return source;
}

describe("a file of half a GiB", () => {
  const BLOCKS = 512;
  const BOUND = 48 * MiB;

  test("is streamed, verified and read in part in a tenth of its size", async () => {
    const source = await largeFile([{ name: "w", dtype: "u8", shape: [BLOCKS, MiB] }], BLOCKS);
    const reader = await ContainerReader.open(source);
    source.longest = 0;
    let total = 0;
    const growth = await peakGrowth(async () => {
      for await (const { byteOffset, bytes } of reader.stream("w")) {
        expect(byteOffset).toBe(total);
        total += bytes.byteLength;
      }
      for await (const { bytes } of reader.rawChunks()) total += bytes.byteLength;
      expect((await reader.verify()).ok).toBe(true);
      const row = await reader.read("w", { slice: { rows: [500, 501] } });
      expect(Buffer.compare(row, block)).toBe(0);
    });
    expect(total).toBe(2 * BLOCKS * MiB);
    expect(source.longest).toBeLessThanOrEqual(4 * MiB);
    expect(growth).toBeLessThan(BOUND);
  }, 600_000);

  test("gives its tensors one by one, and reads no more than a few MiB ahead of them", async () => {
    const tensors = Array.from({ length: BLOCKS / 2 }, (_, i): TensorSpec => ({
      name: `t${i}`,
      dtype: "u8",
      shape: [2, MiB],
    }));
    const source = await largeFile(tensors, BLOCKS);
    const reader = await ContainerReader.open(source);
    const one = new Uint8Array(Buffer.concat([block, block]));
    let count = 0;
    let furthestAhead = 0;
    source.total = 0;
    for await (const { bytes } of reader.readMany(tensors.map(({ name }) => name))) {
      if (Buffer.compare(bytes, one) !== 0) throw new Error(`tensor ${count} has other bytes`);
      count++;
      furthestAhead = Math.max(furthestAhead, source.total - count * bytes.byteLength);
    }
    expect(count).toBe(BLOCKS / 2);
    expect(source.longest).toBeLessThanOrEqual(4 * MiB);
    // The garbage collector frees what the caller drops. The reader itself holds no more than this.
    expect(furthestAhead).toBeLessThanOrEqual(8 * MiB);
  }, 600_000);
});
