import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "bun:test";
import { FileSource } from "../../src/storage/file_source.ts";
import type { StorageReader } from "../../src/storage/storage.ts";
import { bytesOf } from "../container/samples.ts";

/** A file in memory, and the lengths that were asked for. */
function readerOf(
  bytes: Uint8Array,
  options: Pick<StorageReader, "preferredReadBytes" | "fillsShared">,
): { reader: StorageReader; asked: number[] } {
  const asked: number[] = [];
  const reader: StorageReader = {
    ...options,
    byteLength: bytes.byteLength,
    read(offset, into) {
      asked.push(into.byteLength);
      const part = bytes.subarray(offset, offset + into.byteLength);
      into.set(part);
      return Promise.resolve(part.byteLength);
    },
    close: () => Promise.resolve(),
  };
  return { reader, asked };
}

describe("FileSource", () => {
  test("asks for as much at once as its storage prefers", async () => {
    const bytes = bytesOf(1000, 1);
    const { reader, asked } = readerOf(bytes, { preferredReadBytes: 300 });
    const into = new Uint8Array(950);
    await new FileSource(reader, "file").read(20, into);
    expect(asked).toEqual([300, 300, 300, 50]);
    expect(into).toEqual(bytes.subarray(20, 970));
    const other = readerOf(bytes, {});
    await new FileSource(other.reader, "file").read(20, into);
    expect(other.asked).toEqual([950]);
  });

  test("fills shared memory where its storage says that it can, as that of files does", async () => {
    expect(new FileSource(readerOf(new Uint8Array(1), {}).reader, "file").fillsShared).toBe(false);
    const directory = mkdtempSync(join(tmpdir(), "cairn-source-"));
    try {
      const bytes = bytesOf(700_001, 2);
      writeFileSync(join(directory, "file"), bytes);
      const source = await FileSource.open(join(directory, "file"));
      expect(source.fillsShared).toBe(true);
      const shared = new Uint8Array(new SharedArrayBuffer(bytes.byteLength));
      await source.read(0, shared);
      expect(Buffer.compare(shared, bytes)).toBe(0);
      const small = new Uint8Array(new SharedArrayBuffer(1000));
      await source.read(699_001, small);
      expect(Buffer.compare(small, bytes.subarray(699_001))).toBe(0);
      await source.close();
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
