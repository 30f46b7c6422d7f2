import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { asByteCount, freeBytesOf } from "../../src/storage/free_bytes.ts";
import { FileStorage } from "../../src/storage/file_storage.ts";

describe("the free space of a file system", () => {
  test("is its free blocks, and none of them is full", () => {
    expect(freeBytesOf({ bsize: 4096, blocks: 1000, bavail: 10 })).toBe(40_960);
    expect(freeBytesOf({ bsize: 4096n, blocks: 1000n, bavail: 10n })).toBe(40_960);
    expect(freeBytesOf({ bsize: 4096, blocks: 1000, bavail: 0 })).toBe(0);
    // An exabyte is no number that has to be exact.
    expect(freeBytesOf({ bsize: 4096, blocks: 2 ** 52, bavail: 2 ** 50 })).toBe(2 ** 62);
  });

  test("is unknown where there are no blocks, more free ones than blocks, or an invalid number", () => {
    for (
      const size of [
        { bsize: 4096, blocks: 0, bavail: 0 },
        { bsize: 4096, blocks: 0, bavail: 10 },
        { bsize: 0, blocks: 10, bavail: 10 },
        { bsize: 4096, blocks: 10, bavail: 2 ** 64 - 5 },
        { bsize: 4096, blocks: 10, bavail: -1 },
        { bsize: 4096, blocks: NaN, bavail: NaN },
        { bsize: NaN, blocks: 10, bavail: 1 },
        { bsize: 4096, blocks: 10, bavail: undefined as unknown as number },
      ]
    ) expect([size, freeBytesOf(size)]).toEqual([size, undefined]);
  });

  test("a count of bytes is a number from 0, and nothing else is one", () => {
    for (const count of [0, 0.5, 1, 2 ** 60]) expect(asByteCount(count)).toBe(count);
    expect(asByteCount(7n)).toBe(7);
    for (const other of [NaN, Infinity, -1, -1n, null, undefined, "7", {}]) {
      expect(asByteCount(other)).toBe(undefined);
    }
  });

  test("is known of a real one, and unknown of one that keeps no account", async () => {
    expect(await (await FileStorage.open(tmpdir())).freeBytes("")).toBeGreaterThan(0);
    if (process.platform !== "linux" || !existsSync("/proc/self")) {
      return console.log("SKIP free bytes: no /proc here");
    }
    expect(await (await FileStorage.open("/proc")).freeBytes("")).toBe(undefined);
    expect(await (await FileStorage.open("/proc/not/there/yet")).freeBytes("")).toBe(undefined);
  });
});
