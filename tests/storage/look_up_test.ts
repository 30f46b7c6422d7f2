import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { lookUp } from "../../src/storage/look_up.ts";

test("a path leads to a file, a directory or nothing, and a link to what it is a link to", async () => {
  const directory = await realpath(await mkdtemp(join(tmpdir(), "cairn-look-")));
  try {
    const file = join(directory, "model.cairn");
    await writeFile(file, "");
    await mkdir(join(directory, "run"));
    await symlink(file, join(directory, "link"));
    const found = { path: file, directory, name: "model.cairn", isDirectory: false };
    expect(await lookUp(file)).toEqual(found);
    expect(await lookUp(join(directory, "link"))).toEqual(found);
    expect((await lookUp(join(directory, "run")))?.isDirectory).toBe(true);
    expect(await lookUp(join(directory, "none"))).toBe(undefined);
    expect(await lookUp(join(file, "inside"))).toBe(undefined);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
