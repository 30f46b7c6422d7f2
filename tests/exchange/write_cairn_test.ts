import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "bun:test";
import { openCheckpoint } from "../../src/checkpoint/file/open_path.ts";
import { tensorsOfFile } from "../../src/exchange/convert.ts";
import { openSafetensors } from "../../src/exchange/safetensors/open_safetensors.ts";
import { saveSafetensors } from "../../src/exchange/safetensors/save_safetensors.ts";
import { writeCairn } from "../../src/exchange/write_cairn.ts";
import { FileStorage } from "../../src/storage/file_storage.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { fileNames } from "../checkpoint/fixtures.ts";
import { thrownBy } from "../helpers/thrown.ts";

const folder = mkdtempSync(join(tmpdir(), "cairn-write-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Name, dtype, shape, bytes and target of each tensor of a file. */
async function contentsOf(path: string): Promise<unknown[]> {
  const checkpoint = await openCheckpoint(path);
  const { reader } = checkpoint;
  const tensors = await Promise.all(
    reader.tensors.map(async ({ name, dtype, shape, aliasOf }) => [
      name,
      dtype,
      [...shape],
      [...await reader.read(name)],
      aliasOf,
    ]),
  );
  await checkpoint.close();
  return tensors;
}

describe("writeCairn", () => {
  test("writes tensors and numbers by name, without a GPU, and says what became of them", async () => {
    const path = join(folder, "model.cairn");
    const bytes = HostTensor.from([1, 2, 3], [3], "u8");
    const report = await writeCairn(path, { bytes, rows: [[1, 2], [3, 4]], ids: Int16Array.of(-1) }, {
      user: { from: "a test" },
    });
    expect([report.path, report.rawBytes, report.chunks]).toEqual([path, 3 * 256, 3]);
    expect(await contentsOf(path)).toEqual([
      ["bytes", "u8", [3], [1, 2, 3], undefined],
      ["rows", "f32", [2, 2], [...HostTensor.from([1, 2, 3, 4]).bytes], undefined],
      ["ids", "i16", [1], [255, 255], undefined],
    ]);
    const checkpoint = await openCheckpoint(path);
    expect(checkpoint.reader.manifest).toMatchObject({ kind: "tensors", user: { from: "a test" } });
    await checkpoint.verify();
    await checkpoint.close();
    expect(readdirSync(folder)).toEqual(["model.cairn"]);
  });

  test("an alias is written behind the tensor that has its bytes, wherever it stood", async () => {
    const tied = HostTensor.from([1, 2]);
    const path = join(folder, "tied");
    await writeCairn(path, { z: tied, y: [5], a: tied });
    const bytes = [...tied.bytes];
    expect(await contentsOf(path)).toEqual([
      ["y", "f32", [1], [...HostTensor.from([5]).bytes], undefined],
      ["a", "f32", [2], bytes, undefined],
      ["z", "f32", [2], bytes, "a"],
    ]);
  });

  test("converts a file of another format, a tensor at a time", async () => {
    const tensors = { a: HostTensor.from([1, 2]), b: HostTensor.from([[3], [4]], undefined, "f16") };
    await saveSafetensors(await FileStorage.open(folder), "m.safetensors", tensors);
    const file = await openSafetensors(join(folder, "m.safetensors"));
    await writeCairn(join(folder, "m.cairn"), await tensorsOfFile(file), { mode: "small" });
    await file.close();
    const [a, b] = await contentsOf(join(folder, "m.cairn")) as [unknown[], unknown[]];
    expect([a, b].sort()).toEqual([
      ["a", "f32", [2], [...tensors.a.bytes], undefined],
      ["b", "f16", [2, 1], [...tensors.b.bytes], undefined],
    ]);
  });

  test("nothing is replaced unasked, and what fails leaves no file behind", async () => {
    const path = join(folder, "model.cairn");
    const before = await contentsOf(path);
    expect((await thrownBy(() => writeCairn(path, { a: [1] }))).code).toBe("already_exists");
    expect(await contentsOf(path)).toEqual(before);
    await writeCairn(path, { a: [1] }, { overwrite: true });
    expect((await contentsOf(path)).length).toBe(1);
    const short = { name: "a", dtype: "f32" as const, shape: [4], pieces: () => [new Uint8Array(12)] };
    const error = await thrownBy(() => writeCairn(join(folder, "short.cairn"), [short]));
    expect(error.message).toContain("takes 16 bytes; its pieces are 12");
    expect(existsSync(join(folder, "short.cairn"))).toBe(false);
    const stopped = AbortSignal.abort(new Error("stopped"));
    const aborted = await thrownBy(() => writeCairn(join(folder, "b"), { a: [1] }, { signal: stopped }));
    expect(aborted.message).toBe("stopped");
    expect(readdirSync(folder).filter((name) => !/^(m|model|tied)\./.test(name))).toEqual([]);
    expect((await thrownBy(() => writeCairn(`${folder}/..`, { a: [1] }))).message).toContain("names no file");
  });

  test("writes into a storage of one's own", async () => {
    const storage = new MemoryStorage();
    const report = await writeCairn("mine://a/b.cairn", { a: [1] }, { storages: { mine: () => storage } });
    expect(await fileNames(storage)).toEqual(["b.cairn"]);
    expect(report.fileBytes).toBeGreaterThan(4000);
  });
});
