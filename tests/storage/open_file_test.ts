import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { OpenFile } from "../../src/storage/open_file.ts";
import { runChild, runtimeCommand } from "../helpers/child.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { inFolder } from "../helpers/in_folder.ts";

const { O_RDONLY, O_RDWR, O_CREAT } = fs.constants;

describe("an open file", () => {
  test("reads, writes, tells its size, and fails after it was closed, which may be done twice", async () => {
    await inFolder(async (directory) => {
      const file = await OpenFile.open(fs, join(directory, "a"), O_RDWR | O_CREAT, 0o600);
      expect(await file.write(new Uint8Array([1, 2, 3]), 2)).toBe(3);
      expect((await file.stat()).size).toBe(5);
      const into = new Uint8Array(4);
      expect([await file.read(into, 1), [...into]]).toEqual([4, [0, 1, 2, 3]]);
      expect([file.readHere(into, 3), [...into.subarray(0, 2)]]).toEqual([2, [2, 3]]);
      expect(await file.read(into, 5)).toBe(0);
      await file.sync("data");
      await file.sync();
      await file.close();
      await file.close();
      const calls = [
        () => file.read(into, 0),
        () => file.stat(),
        () => file.write(into, 0),
        () => file.sync(),
      ];
      for (const call of calls) {
        expect((await thrownBy(call)).code).toBe("EBADF");
      }
      expect(() => file.readHere(into, 0)).toThrow("EBADF");
    });
  });

  test("adds up how long it was written to and synced, once for what is under way at the same time", async () => {
    await inFolder(async (directory) => {
      const file = await OpenFile.open(fs, join(directory, "a"), O_RDWR | O_CREAT, 0o600);
      expect(file.times).toEqual({ writeMs: 0, syncMs: 0 });
      const bytes = new Uint8Array(1 << 20);
      const start = performance.now();
      await Promise.all(Array.from({ length: 8 }, (_, index) => file.write(bytes, index << 20)));
      const elapsed = performance.now() - start;
      expect(file.times.writeMs).toBeGreaterThan(0);
      expect(file.times.writeMs).toBeLessThanOrEqual(elapsed);
      expect(file.times.syncMs).toBe(0);
      await file.sync("data");
      expect(file.times.syncMs).toBeGreaterThan(0);
      await file.close();
    });
  });

  test("is closed only when its calls are done, since another file may get its number at once", async () => {
    await inFolder(async (directory) => {
      writeFileSync(join(directory, "a"), "a");
      const file = await OpenFile.open(fs, join(directory, "a"), O_RDONLY);
      let answer: (error: null, result: string) => void = () => {};
      const asked = file.ask<string>((_, done) => void (answer = done));
      let isClosed = false;
      const closing = file.close().then(() => isClosed = true);
      await new Promise((resolve) => setImmediate(resolve));
      expect(isClosed).toBe(false);
      answer(null, "done");
      expect(await asked).toBe("done");
      await closing;
    });
  });

  test("that is not there fails with the host's error", async () => {
    await inFolder(async (directory) => {
      expect((await thrownBy(() => OpenFile.open(fs, join(directory, "a"), O_RDONLY))).code).toBe("ENOENT");
    });
  });
});

test("a program that forgets to close what it opened ends with exit code 0, and its files are closed", async () => {
  if (process.platform !== "linux") return console.log("SKIP forgotten files: no /proc here");
  const command = runtimeCommand(new URL("forgetful_child.ts", import.meta.url));
  if (process.versions.deno !== undefined) command.splice(2, 0, "--v8-flags=--expose-gc");
  const { status, output, errors } = await runChild(command, { keepsErrors: true });
  expect([status, errors.replace(/Warning: .*\n/g, "")]).toEqual([0, ""]);
  const lines = output.trim().split("\n").map((line) => JSON.parse(line));
  expect(lines.map(({ name }) => name)).toEqual([
    "FileSource",
    "StorageReader",
    "StorageWriter",
    "ContainerReader",
    "Checkpoint",
    "openCheckpoint",
    "openSafetensors",
    "readNpz",
  ]);
  for (const { name, left } of lines) {
    // A frame of the stack may still hold one or two of the thirty.
    expect([name, left < 5]).toEqual([name, true]);
  }
});
