import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { writeContainer } from "../../src/container/write/write_container.ts";
import { BlobSource } from "../../src/storage/blob_source.ts";
import { FileSource } from "../../src/storage/file_source.ts";
import { FILE_ID, manifestOf, sampleTensors } from "../container/samples.ts";
import { thrownBy } from "../helpers/thrown.ts";

let directory = "";
let path = "";
let file: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  const written = await writeContainer({
    tensors: sampleTensors(),
    manifest: manifestOf(null),
    fileId: FILE_ID,
  });
  file = new Uint8Array(written);
  directory = mkdtempSync(join(tmpdir(), "cairn-sources-"));
  path = join(directory, "a.cairn");
  writeFileSync(path, file);
});

afterAll(() => rmSync(directory, { recursive: true }));

describe("every source", () => {
  for (
    const [name, open] of [
      ["a file by its path", () => FileSource.open(path)],
      ["a file by its URL", () => FileSource.open(pathToFileURL(path))],
      ["a Blob", () => Promise.resolve(new BlobSource(new Blob([file.slice(0, 100), file.slice(100)])))],
    ] as const
  ) {
    test(`${name} gives a container's tensors`, async () => {
      const reader = await ContainerReader.open(await open());
      expect(await reader.read("weight")).toEqual(sampleTensors()[0]?.bytes as Uint8Array);
      expect(await reader.verify()).toEqual({ ok: true, damaged: [] });
      await reader.close();
      await reader.close();
    });

    test(`${name} fills what it is given, and nothing past its end`, async () => {
      const source = await open();
      expect(source.byteLength).toBe(file.byteLength);
      const into = new Uint8Array(120).fill(7);
      await source.read(50, into.subarray(10, 110));
      expect(into.subarray(10, 110)).toEqual(file.subarray(50, 150));
      expect([into[9], into[110]]).toEqual([7, 7]);
      await source.read(file.byteLength, new Uint8Array(0));
      const past = () => source.read(file.byteLength - 1, new Uint8Array(2));
      expect(await thrownBy(past)).toMatchObject({ name: "CairnError", code: "truncated" });
      if ("close" in source) await source.close();
    });
  }
});

describe("FileSource", () => {
  test("refuses anything but a file", async () => {
    expect(await thrownBy(() => FileSource.open(join(directory, "none")))).toMatchObject({
      code: "not_found",
    });
    expect(await thrownBy(() => FileSource.open(directory))).toMatchObject({ code: "storage_failed" });
    symlinkSync(path, join(directory, "link"));
    expect(await thrownBy(() => FileSource.open(join(directory, "link")))).toMatchObject({
      code: "storage_failed",
    });
  });

  test("a file that was cut short while it is open is truncated", async () => {
    const short = join(directory, "short");
    writeFileSync(short, file);
    const source = await FileSource.open(short);
    truncateSync(short, 100);
    expect(await thrownBy(() => source.read(50, new Uint8Array(100)))).toMatchObject({ code: "truncated" });
    await source.close();
  });
});

test("a Blob whose file has changed is no damage", async () => {
  const blob = {
    size: 100,
    slice: () => ({ arrayBuffer: () => Promise.reject(new Error("NotReadableError")) }),
  };
  const source = new BlobSource(blob as unknown as Blob);
  expect(await thrownBy(() => source.read(0, new Uint8Array(10)))).toMatchObject({ code: "storage_failed" });
});
