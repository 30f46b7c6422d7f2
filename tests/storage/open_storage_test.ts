import { afterAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { CairnError } from "../../src/base/errors.ts";
import { FileEngine } from "../../src/checkpoint/engine/file_engine.ts";
import { openEngine } from "../../src/checkpoint/engine/open_engine.ts";
import { openCheckpoint } from "../../src/checkpoint/file/open_path.ts";
import { recover } from "../../src/checkpoint/keep/recovery.ts";
import { Snapshot } from "../../src/checkpoint/snapshot.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { S3Storage } from "../../src/storage/s3/s3_storage.ts";
import { openStorage, type Storages } from "../../src/storage/open_storage.ts";
import type { Storage } from "../../src/storage/storage.ts";
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

  test("TW-22 a scheme without a storage is refused by name", async () => {
    for (const scheme of ["gs", "hdfs", "https", "GS", "az+x"]) {
      const error = await errorOf(openStorage(`${scheme}://bucket/runs`));
      expect(error.code).toBe("unsupported");
      expect(error.message).toContain(`there is no storage for ${scheme.toLowerCase()}: here`);
    }
    const error = await errorOf(openEngine("gs://bucket/runs"));
    expect(error.message).toBe(
      'Cannot open "gs://bucket/runs": there is no storage for gs: here; there is file:, memory:, s3:, and any path. ' +
        "Pass storages: { gs: (location) => … } with a Storage of your own",
    );
    expect(await codeOf(openEngine(new URL("gs://bucket/runs")))).toBe("unsupported");
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

/** A place elsewhere with directories in it, and what was opened there. */
function bucket(): { storages: Storages; opened: string[]; at: (location: string) => MemoryStorage } {
  const opened: string[] = [];
  const places = new Map<string, MemoryStorage>();
  const at = (location: string): MemoryStorage => {
    const place = places.get(location) ?? new MemoryStorage();
    places.set(location, place);
    return place;
  };
  const s3 = (location: string): MemoryStorage => {
    opened.push(location);
    return at(location);
  };
  return { storages: { s3 }, opened, at };
}

describe("storages of others", () => {
  test("TS-15 an opener is found by the scheme, and gets the location as it was given", async () => {
    const { storages, opened, at } = bucket();
    expect(await openStorage("s3://bucket/runs/a", storages)).toBe(at("s3://bucket/runs/a"));
    await openStorage(new URL("s3://bucket/runs/b"), storages);
    await openStorage("S3://Bucket/c", storages);
    await openStorage("s3:bucket", storages);
    expect(opened).toEqual(["s3://bucket/runs/a", "s3://bucket/runs/b", "S3://Bucket/c", "s3:bucket"]);
    const later = { "az+x": () => Promise.resolve(at("later")) };
    expect(await openStorage("az+x://a", later)).toBe(at("later"));
    // What is built in stays, for this call and any other.
    expect((await openStorage(directory, storages)).describe("a")).toBe(path.join(directory, "a"));
    expect(await openStorage("s3://bucket/runs/a")).toBeInstanceOf(S3Storage);
  });

  test("TS-15 an unknown scheme is an error that names the known ones and what to pass", async () => {
    const { storages } = bucket();
    const error = await errorOf(openStorage("gs+x://bucket", storages));
    expect(error.message).toBe(
      'Cannot open "gs+x://bucket": there is no storage for gs+x: here; there is file:, memory:, s3:, and any path. ' +
        'Pass storages: { "gs+x": (location) => … } with a Storage of your own',
    );
    expect(error.details).toMatchObject({ path: "gs+x://bucket", value: "gs+x" });
    for (const name of ["constructor", "tostring", "valueof"]) {
      expect(await codeOf(openStorage(`${name}://x`, storages))).toBe("unsupported");
    }
  });

  test("TS-15 an invalid scheme, and an opener that gives no storage, are TypeErrors that say so", async () => {
    const { at } = bucket();
    for (const name of ["S3", "s3:", "x", ""]) {
      await expect(openStorage("s3://a", { [name]: at })).rejects.toThrow(
        `storages has the scheme ${JSON.stringify(name)}; a scheme is two letters or more`,
      );
    }
    const half = { list: () => Promise.resolve([]), describe: String };
    const s3 = (): Storage => half as unknown as Storage;
    await expect(openStorage("s3://a", { s3 })).rejects.toThrow(
      'What was opened for "s3://a" is no Storage: it has no makeDirectory, createExclusive, openRead, move, remove, ' +
        "syncDirectory, freeBytes",
    );
    const failing = {
      s3: (): Storage => {
        throw new CairnError("storage_failed", "no key");
      },
    };
    expect(await codeOf(openStorage("s3://a", failing))).toBe("storage_failed");
  });

  test("TS-15 snapshots save to it, rotate there, restore from it, and recover finds them", async () => {
    const { storages, at } = bucket();
    const location = "s3://bucket/runs/a";
    const snapshot = new Snapshot(location, { epoch: 4 }, { storages, keep: { last: 2 } });
    for (const step of [1, 2, 3]) await (await snapshot.save(step)).wait();
    const names = (await at(location).list("")).map(({ name }) => name);
    expect(names).toEqual(["2.cairn", "3.cairn", "latest"]);
    const state = { epoch: 0 };
    await new Snapshot(location, state, { storages }).restore(3);
    expect(state.epoch).toBe(4);
    // From elsewhere, by the location of the file.
    state.epoch = 0;
    await new Snapshot(await openEngine("memory:ts15"), state, { storages }).restore(`${location}/2.cairn`);
    expect(state.epoch).toBe(4);
    const engine = await FileEngine.open(location, { storages });
    const { checkpoint } = await recover(engine);
    expect(checkpoint?.tag).toBe("3");
    await checkpoint?.close();
    await engine.remove("3");
    expect(await engine.list()).toEqual(["2"]);
  });

  test("TS-15 so do snapshots of one file, and of fields", async () => {
    const { storages, at } = bucket();
    const snapshot = new Snapshot("s3://bucket/models/best", undefined, { storages });
    await (await snapshot.save({ weights: new Float32Array([1, 2]) })).wait();
    await snapshot.close();
    await Snapshot.of({ epoch: 3 }).save("s3://bucket/models/fields.cairn", { storages });
    const names = (await at("s3://bucket/models").list("")).map(({ name }) => name);
    expect(names).toEqual(["best.cairn", "fields.cairn"]);
    expect(await Snapshot.load("s3://bucket/models/best.cairn", { storages })).toEqual({
      weights: new Float32Array([1, 2]),
    });
    expect(await Snapshot.load("s3://bucket/models/fields", { storages })).toEqual({ epoch: 3 });
    await expect(Snapshot.of({}).save("s3://bucket/models/", { storages })).rejects.toThrow(
      '"s3://bucket/models/" names no checkpoint',
    );
    expect(await codeOf(Snapshot.load("gs://bucket/models/fields"))).toBe("unsupported");
  });
});
