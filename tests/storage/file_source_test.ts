import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "bun:test";
import { FileSource } from "../../src/storage/file_source.ts";
import { bytesOf } from "../container/samples.ts";

describe("FileSource", () => {
  test("fills shared memory where its storage says that it can, as that of files does", async () => {
    const other = { byteLength: 0, read: () => Promise.resolve(0), close: () => Promise.resolve() };
    expect(new FileSource(other, "file").fillsShared).toBe(false);
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
