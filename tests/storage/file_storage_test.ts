import { afterAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { ratesOfDisk } from "../../src/storage/disk_rates.ts";
import { FileStorage } from "../../src/storage/file_storage.ts";
import { WriteThread } from "../../src/storage/write_thread.ts";
import { bytes, codeOf, errorOf, readFile, testStorageContract, writeFile } from "./storage_contract.ts";

const directories: string[] = [];

function temporaryDirectory(): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-storage-"));
  directories.push(directory);
  return directory;
}

afterAll(() => {
  for (const directory of directories) fs.rmSync(directory, { recursive: true, force: true });
});

function hasDirectWrites(directory: string): boolean {
  const { O_WRONLY, O_CREAT, O_DIRECT } = fs.constants;
  if (O_DIRECT === undefined) return false;
  try {
    fs.closeSync(fs.openSync(path.join(directory, "direct"), O_WRONLY | O_CREAT | O_DIRECT));
    return true;
  } catch {
    return false;
  }
}

testStorageContract("FileStorage", () => FileStorage.open(temporaryDirectory()));

describe("FileStorage", () => {
  test("creates a root that is not there yet, with what is above it", async () => {
    const root = path.join(temporaryDirectory(), "deep", "er");
    const storage = await FileStorage.open(root);
    expect(fs.existsSync(root)).toBe(false);
    expect(await storage.list("")).toEqual([]);
    expect(await storage.freeBytes("runs")).toBeGreaterThan(0);
    await storage.makeDirectory("runs");
    await writeFile(storage, "runs/a.bin", bytes("x"));
    expect(fs.readFileSync(path.join(root, "runs", "a.bin"), "utf8")).toBe("x");
  });

  test("takes a file URL, and a root that is a link to a directory", async () => {
    const directory = temporaryDirectory();
    const target = path.join(directory, "target with space");
    fs.mkdirSync(target);
    fs.symlinkSync(target, path.join(directory, "link"));
    const storage = await FileStorage.open(pathToFileURL(path.join(directory, "link")));
    await storage.makeDirectory("");
    await writeFile(storage, "a.bin", bytes("x"));
    expect(fs.readFileSync(path.join(target, "a.bin"), "utf8")).toBe("x");
  });

  test("says what is wrong with a root that is a file", async () => {
    const file = path.join(temporaryDirectory(), "file");
    fs.writeFileSync(file, "x");
    const error = await errorOf(FileStorage.open(file));
    expect(error.code).toBe("storage_failed");
    expect(error.message).toBe(
      `Cannot open "${file}": a part of the path is not a directory (ENOTDIR); check the path`,
    );
  });

  test("follows no link that lies inside the root", async () => {
    const root = temporaryDirectory();
    const outside = temporaryDirectory();
    fs.writeFileSync(path.join(outside, "secret"), "secret");
    fs.symlinkSync(path.join(outside, "secret"), path.join(root, "file"));
    fs.symlinkSync(path.join(outside, "nothing"), path.join(root, "dangling"));
    fs.symlinkSync(outside, path.join(root, "directory"));
    const storage = await FileStorage.open(root);
    expect((await storage.list("")).map((entry) => entry.kind)).toEqual(["other", "other", "other"]);
    expect(await codeOf(storage.openRead("file"))).toBe("storage_failed");
    expect(await codeOf(storage.openRead("directory/secret"))).toBe("storage_failed");
    expect(await codeOf(storage.createExclusive("dangling"))).toBe("already_exists");
    expect(await codeOf(storage.createExclusive("directory/new"))).toBe("storage_failed");
    expect(await codeOf(storage.list("directory"))).toBe("storage_failed");
    expect(await codeOf(storage.makeDirectory("directory/new"))).toBe("storage_failed");
    expect(await codeOf(storage.remove("directory/secret"))).toBe("storage_failed");
    expect(fs.readdirSync(outside)).toEqual(["secret"]);
  });

  test("replaces a link by a move and leaves what it points to", async () => {
    const root = temporaryDirectory();
    const outside = path.join(temporaryDirectory(), "precious");
    fs.writeFileSync(outside, "precious");
    fs.symlinkSync(outside, path.join(root, "a.bin"));
    const storage = await FileStorage.open(root);
    await writeFile(storage, "b.bin", bytes("new"));
    expect(await codeOf(storage.move("b.bin", "a.bin", { replace: false }))).toBe("already_exists");
    await storage.move("b.bin", "a.bin");
    expect(await readFile(storage, "a.bin")).toBe("new");
    expect(fs.readFileSync(outside, "utf8")).toBe("precious");
  });

  test("keeps the mode that the process asks for and leaves no second link behind", async () => {
    const root = temporaryDirectory();
    const storage = await FileStorage.open(root);
    await writeFile(storage, "a.bin", bytes("x"));
    await storage.move("a.bin", "b.bin", { replace: false });
    const stats = fs.statSync(path.join(root, "b.bin"));
    expect(stats.nlink).toBe(1);
    expect(stats.mode & 0o777).toBe(0o666 & ~process.umask());
  });

  test("takes a new name by a rename where there are no hard links, and never one that is taken", async () => {
    const root = temporaryDirectory();
    const storage = await FileStorage.open(root);
    const { promises } = process.getBuiltinModule("node:fs");
    const { link } = promises;
    for (const code of ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EIO"]) {
      for (const name of ["a.bin", "taken.bin"]) await writeFile(storage, name, bytes(name));
      promises.link = () => Promise.reject(Object.assign(new Error(code), { code }));
      try {
        const move = (to: string): Promise<void> => storage.move("a.bin", to, { replace: false });
        if (code === "EIO") {
          expect(await codeOf(move("b.bin"))).toBe("storage_failed");
          await storage.move("a.bin", "b.bin");
        } else {
          expect([code, await codeOf(move("taken.bin"))]).toEqual([code, "already_exists"]);
          await move("b.bin");
        }
      } finally {
        promises.link = link;
      }
      expect(await readFile(storage, "b.bin")).toBe("a.bin");
      expect(await readFile(storage, "taken.bin")).toBe("taken.bin");
      expect(fs.readdirSync(root).sort()).toEqual(["b.bin", "taken.bin"]);
      for (const name of ["b.bin", "taken.bin"]) await storage.remove(name);
    }
  });

  test("says what a full device means", async () => {
    if (!fs.existsSync("/dev/full")) return console.log("SKIP storage: no /dev/full here");
    const full = fs.openSync("/dev/full", fs.constants.O_WRONLY);
    let failure: unknown;
    try {
      fs.writeSync(full, bytes("x"));
    } catch (error) {
      failure = error;
    }
    fs.closeSync(full);
    const { storageError } = await import("../../src/storage/storage_error.ts");
    const error = storageError("write", "/data/run.cairn", failure);
    expect(error.code).toBe("disk_full");
    expect(error.message).toBe(
      'Cannot write "/data/run.cairn": the disk is full (ENOSPC); free some space or write elsewhere',
    );
  });

  test(
    "a large file is synced in pieces; when one of them fails, so does the file, and no sync is tried again",
    async () => {
      const root = temporaryDirectory();
      if (!hasDirectWrites(root)) {
        console.log("SKIP the sync of a piece on the thread: there is no O_DIRECT here");
        return;
      }
      const before = WriteThread.shared();
      const failing = WriteThread.start((fs) => ({
        ...fs,
        fdatasyncSync: () => {
          throw Object.assign(new Error("broken"), { code: "EIO" });
        },
        fsyncSync: () => {
          throw new Error("tried again");
        },
      }));
      failing.share();
      try {
        // Of a disk that takes its time, pieces are small.
        ratesOfDisk(fs.statSync(root).dev).measured({ bytes: 2 ** 30, writeMs: 1000, syncMs: 1e6 });
        const storage = await FileStorage.open(root);
        const writer = await storage.createExclusive("a");
        const writing = async (): Promise<void> => {
          const piece = new Uint8Array(1 << 20);
          for (let written = 0; written < 64; written++) await writer.write(piece);
        };
        const error = await errorOf(writing());
        expect([error.code, /EIO/.test(error.message)]).toEqual(["storage_failed", true]);
        expect((await errorOf(writer.sync())).message).toMatch(/EIO/);
        expect((await errorOf(writer.close())).message).toMatch(/EIO/);
      } finally {
        before.share();
        await failing.end();
      }
    },
    600_000,
  );

  test("knows how fast a disk makes bytes durable once a large file was written to it", async () => {
    const root = temporaryDirectory();
    const storage = await FileStorage.open(root);
    await writeFile(storage, "a", new Uint8Array(12 << 20));
    const writer = await storage.createExclusive("b");
    expect(writer.durableBytesPerSecond).toBeGreaterThan(0);
    await writer.close();
  });

  test("does not wait for ever on a named pipe", async () => {
    const root = temporaryDirectory();
    const { spawnSync } = await import("node:child_process");
    if (spawnSync("mkfifo", [path.join(root, "pipe")]).status !== 0) {
      return console.log("SKIP storage: no mkfifo");
    }
    const storage = await FileStorage.open(root);
    expect(await codeOf(storage.openRead("pipe"))).toBe("storage_failed");
  });
});
