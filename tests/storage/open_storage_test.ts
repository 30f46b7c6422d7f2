import { afterAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { CairnError } from "../../src/base/errors.ts";
import { openEngine } from "../../src/checkpoint/open_engine.ts";
import { openCheckpoint } from "../../src/checkpoint/open_path.ts";
import { Snapshot } from "../../src/checkpoint/snapshot.ts";
import { openStorage } from "../../src/storage/open_storage.ts";
import { bytes, codeOf, errorOf, readFile, writeFile } from "./storage_contract.ts";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-open-"));

afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

describe("openStorage", () => {
  test("TW-22 a path, a file: URL and its text are the file system", async () => {
    const url = pathToFileURL(directory);
    for (const [index, location] of [directory, url, url.href].entries()) {
      const storage = await openStorage(location);
      await writeFile(storage, `${index}.bin`, bytes("x"));
      expect(fs.existsSync(path.join(directory, `${index}.bin`))).toBe(true);
      expect(storage.describe("a")).toBe(path.join(directory, "a"));
    }
  });

  test("TW-22 memory: is the same storage for the same name, and another for another", async () => {
    await writeFile(await openStorage("memory:tw22"), "a.bin", bytes("x"));
    expect(await readFile(await openStorage(new URL("memory:tw22")), "a.bin")).toBe("x");
    expect(await readFile(await openStorage("memory://tw22/"), "a.bin")).toBe("x");
    expect(await (await openStorage("memory:other")).list("")).toEqual([]);
  });

  test("TW-22 what there is no storage for says so, and names the scheme", async () => {
    for (const scheme of ["gs", "s3", "hdfs", "https", "GS", "az+x"]) {
      const error = await errorOf(openStorage(`${scheme}://bucket/runs`));
      expect(error.code).toBe("unsupported");
      expect(error.message).toContain(`there is no storage for ${scheme.toLowerCase()}:// yet`);
    }
    const error = await errorOf(openEngine("gs://bucket/runs"));
    expect(error.message).toBe(
      'Cannot open "gs://bucket/runs": there is no storage for gs:// yet; ' +
        "use a path or a file: URL, memory:name, or a Storage of your own",
    );
    expect(await codeOf(openEngine(new URL("s3://bucket/runs")))).toBe("unsupported");
    expect(await codeOf(openCheckpoint("hdfs://host/runs/100.cairn"))).toBe("unsupported");
  });

  test("TW-22 a drive, a name with a colon and an empty path are no scheme", async () => {
    for (const name of ["C:\\runs", "run:1", "a:b//c"]) {
      const error = await openStorage(path.join(directory, name)).then(
        () => undefined,
        (each: unknown) => each,
      );
      expect(error instanceof CairnError && error.code === "unsupported").toBe(false);
    }
    expect((await openStorage("run:1")).describe("")).toBe(path.resolve("run:1"));
    await expect(openStorage("")).rejects.toThrow(TypeError);
  });

  test("TW-22 a snapshot saves to and restores from either", async () => {
    for (const location of ["memory:tw22-snapshot", pathToFileURL(path.join(directory, "run")).href]) {
      await (await new Snapshot(location, { epoch: 4 }).save(1)).wait();
      const state = { epoch: 0 };
      await new Snapshot(location, state).restore(1);
      expect(state.epoch).toBe(4);
    }
    expect(fs.existsSync(path.join(directory, "run", "1.cairn"))).toBe(true);
  });
});
