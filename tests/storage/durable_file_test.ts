import { describe, expect, test } from "bun:test";
import type { Storage } from "../../src/storage/storage.ts";
import { crc32 } from "../../src/base/crc32/crc32.ts";
import { DurableFile } from "../../src/storage/durable_file.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { atEveryOperation, FaultStorage } from "../helpers/fault_storage.ts";
import { turnsDuring } from "../helpers/turns.ts";
import { bytes, codeOf, errorOf, readFile, writeFile } from "./storage_contract.ts";

const PATH = "runs/a.cairn";

async function save(storage: Storage, text: string, overwrite = true): Promise<void> {
  const file = await DurableFile.create(storage, PATH, { overwrite, randomName: "0123" });
  try {
    for (const letter of text) await file.write(bytes(letter));
    await file.commit({ verify: true });
  } catch (error) {
    await file.abort().catch(() => {});
    throw error;
  }
}

async function withOld(): Promise<{ inner: MemoryStorage; storage: FaultStorage }> {
  const inner = new MemoryStorage();
  await save(inner, "old");
  return { inner, storage: new FaultStorage(inner) };
}

async function names(storage: Storage): Promise<string[]> {
  return (await storage.list("runs")).map((entry) => entry.name);
}

describe("DurableFile", () => {
  test("has no name before it is committed, and leaves nothing else behind", async () => {
    const storage = new MemoryStorage();
    const file = await DurableFile.create(storage, PATH, { randomName: "0123" });
    await file.write(bytes("new"));
    expect(file.bytesWritten).toBe(3);
    expect(await names(storage)).toEqual([".tmp-0123"]);
    await file.commit({ verify: true });
    expect(await names(storage)).toEqual(["a.cairn"]);
    expect(await readFile(storage, PATH)).toBe("new");
    expect(file.isCommitted).toBe(true);
    expect(await codeOf(file.write(bytes("x")))).toBe("closed");
    expect(await codeOf(file.commit())).toBe("closed");
  });

  test("gives the event loop turns while it is written, however fast the storage is", async () => {
    const storage: Storage = new MemoryStorage();
    storage.createExclusive = () =>
      Promise.resolve({
        write: (bytes) => Promise.resolve(bytes.byteLength),
        sync: () => Promise.resolve(),
        close: () => Promise.resolve(),
      });
    const file = await DurableFile.create(storage, PATH, { randomName: "0123" });
    const piece = new Uint8Array(1024 * 1024);
    // Summing up so much takes many times as long as the event loop may be held.
    const turns = await turnsDuring(async () => {
      for (let mebibytes = 0; mebibytes < 64; mebibytes++) await file.write(piece);
    });
    // One passes in any case, after the last write.
    expect(turns).toBeGreaterThan(1);
    await file.abort();
  });

  test("syncs the file, gives it its name, and syncs the directory, in this order", async () => {
    const storage = new FaultStorage(new MemoryStorage());
    await save(storage, "ab", false);
    const temporary = "runs/.tmp-0123";
    expect(storage.operations.map(({ op, path }) => `${op} ${path}`)).toEqual([
      "makeDirectory runs",
      "list runs",
      `createExclusive ${temporary}`,
      `write ${temporary}`,
      `write ${temporary}`,
      `sync ${temporary}`,
      `close ${temporary}`,
      `openRead ${temporary}`,
      `read ${temporary}`,
      `move ${PATH}`,
      "syncDirectory runs",
    ]);
  });

  test("removes what it wrote when it is aborted, once", async () => {
    const { storage } = await withOld();
    const file = await DurableFile.create(storage, PATH, { overwrite: true, randomName: "0123" });
    await file.write(bytes("new"));
    await file.abort();
    await file.abort();
    expect(await names(storage)).toEqual(["a.cairn"]);
    expect(await readFile(storage, PATH)).toBe("old");
    expect(storage.openHandles).toBe(0);
    expect(storage.operations.filter(({ op }) => op === "remove").length).toBe(1);
  });

  test("replaces nothing unless it was told to, not even a file that came meanwhile", async () => {
    const { inner } = await withOld();
    const error = await errorOf(DurableFile.create(inner, PATH, { randomName: "0123" }));
    expect(error.code).toBe("already_exists");
    expect(error.message).toContain("pass overwrite to replace it");
    await inner.remove(PATH);
    const late = await DurableFile.create(inner, PATH, { randomName: "0123" });
    await late.write(bytes("late"));
    await writeFile(inner, PATH, bytes("first"));
    expect(await codeOf(late.commit())).toBe("already_exists");
    await late.abort();
    expect(await readFile(inner, PATH)).toBe("first");
    expect(await names(inner)).toEqual(["a.cairn"]);
  });

  test("leaves the old file or the new one when the machine stops at any operation", async () => {
    for (const takesEffect of [false, true]) {
      const points = await atEveryOperation(async (at) => {
        const { inner, storage } = await withOld();
        storage.crashAt(at, { takesEffect });
        const outcome = await save(storage, "new").then(() => "committed", () => "failed");
        const found = await readFile(inner, PATH);
        expect(["old", "new"]).toContain(found);
        if (outcome === "committed") expect(found).toBe("new");
        return storage;
      });
      expect(points).toBeGreaterThan(10);
    }
  });

  test("leaves nothing or the new file when the machine stops at any operation of a first save", async () => {
    await atEveryOperation(async (at) => {
      const inner = new MemoryStorage();
      const storage = new FaultStorage(inner);
      storage.crashAt(at, { takesEffect: true });
      const outcome = await save(storage, "new", false).then(() => "committed", () => "failed");
      const found = (await names(inner)).filter((name) => !name.startsWith(".tmp-"));
      if (outcome === "committed" || found.length > 0) expect(await readFile(inner, PATH)).toBe("new");
      return storage;
    });
  });

  for (const code of ["EIO", "ENOSPC", "EACCES", "EROFS", "EDQUOT", "EMFILE", "ESTALE", "EXDEV"]) {
    test(`turns ${code} at any operation into a typed error, with the old file intact and the next save fine`, async () => {
      for (const takesEffect of [false, true]) {
        await atEveryOperation(async (at) => {
          const { inner, storage } = await withOld();
          storage.failAt(at, code, { takesEffect });
          const error = await save(storage, "new").then(() => undefined, (error: unknown) => error);
          const failed = storage.operations[at];
          if (storage.hasFired) {
            expect(error).toMatchObject({ name: "CairnError", details: { op: expect.anything() } });
            expect((error as Error).cause).toMatchObject({ code });
            // From the move on the new file is in place, but nobody was told that it is durable.
            const isPublished = failed?.op === "syncDirectory" || (failed?.op === "move" && takesEffect);
            expect(await readFile(inner, PATH)).toBe(isPublished ? "new" : "old");
            const lostAnswer = failed?.op === "createExclusive" && takesEffect;
            expect(await names(inner)).toEqual(lostAnswer ? [".tmp-0123", "a.cairn"] : ["a.cairn"]);
            if (lostAnswer) await inner.remove("runs/.tmp-0123");
          }
          expect(storage.openHandles).toBe(0);
          storage.heal();
          await save(storage, "next");
          expect(await readFile(inner, PATH)).toBe("next");
          return storage;
        });
      }
    });
  }

  test("never syncs a file again after that failed", async () => {
    const { storage } = await withOld();
    const file = await DurableFile.create(storage, PATH, { overwrite: true, randomName: "0123" });
    await file.write(bytes("new"));
    storage.failAt(storage.operations.length, "EIO");
    expect(await codeOf(file.commit())).toBe("storage_failed");
    storage.heal();
    expect(await codeOf(file.commit())).toBe("closed");
    await file.abort();
    expect(storage.operations.filter(({ op }) => op === "sync").length).toBe(1);
    expect(await names(storage)).toEqual(["a.cairn"]);
  });

  test("writes on after a short write, and gives up when nothing is taken", async () => {
    const text = "0123456789".repeat(10);
    for (const limit of [1, 7, 99, 100]) {
      const storage = new FaultStorage(new MemoryStorage());
      storage.writeLimit = () => limit;
      const file = await DurableFile.create(storage, PATH, { randomName: "0123" });
      await file.write(bytes(text));
      await file.commit({ verify: true });
      expect(await readFile(storage, PATH)).toBe(text);
    }
    const storage = new FaultStorage(new MemoryStorage());
    storage.writeLimit = (write) => (write === 0 ? 40 : 0);
    const file = await DurableFile.create(storage, PATH, { randomName: "0123" });
    const error = await errorOf(file.write(bytes(text)));
    expect(error.code).toBe("storage_failed");
    expect(error.message).toContain("took 0 bytes");
    await file.abort();
    expect(await names(storage)).toEqual([]);
  });

  test("publishes nothing when what it reads back differs from what it was given", async () => {
    const inner = new MemoryStorage();
    const file = await DurableFile.create(corrupting(inner), PATH, { randomName: "0123" });
    await file.write(bytes("precious"));
    const error = await errorOf(file.commit({ verify: true }));
    expect(error.code).toBe("commit_failed");
    expect(error.message).toContain("read back has checksum");
    await file.abort();
    expect(await names(inner)).toEqual([]);
  });

  test("joins the checksums that it is given, of pieces as long as the one before and of others", async () => {
    const pieces = ["same", "long", "as it", "is", "this", "that"].map(bytes);
    const storage = new MemoryStorage();
    const file = await DurableFile.create(storage, PATH, { randomName: "0123" });
    for (const piece of pieces) await file.write(piece, crc32(piece));
    await file.commit({ verify: true });
    expect(file.isCommitted).toBe(true);

    const wrong = await DurableFile.create(storage, PATH, { randomName: "4567", overwrite: true });
    for (const piece of pieces) await wrong.write(piece, crc32(piece) ^ 1);
    expect((await errorOf(wrong.commit({ verify: true }))).code).toBe("commit_failed");
    await wrong.abort();
  });

  test("publishes nothing when what it reads back is longer, shorter or ends early", async () => {
    const lies: Record<string, { byteLength: number; read?: () => Promise<number> }> = {
      "has 9 bytes, expected 8": { byteLength: 9 },
      "has 0 bytes, expected 8": { byteLength: 0 },
      "ends at byte 0, expected 8": { byteLength: 8, read: () => Promise.resolve(0) },
    };
    for (const [message, lie] of Object.entries(lies)) {
      const inner = new MemoryStorage();
      const lying = overriding(inner, {
        openRead: async (path) => {
          const reader = await inner.openRead(path);
          return { read: (at, into) => reader.read(at, into), close: () => reader.close(), ...lie };
        },
      });
      const file = await DurableFile.create(lying, PATH, { randomName: "0123" });
      await file.write(bytes("precious"));
      const error = await errorOf(file.commit({ verify: true }));
      expect([error.code, error.details.op]).toEqual(["commit_failed", "verify"]);
      expect(error.message).toContain(message);
      await file.abort();
      expect(await names(inner)).toEqual([]);
    }
  });

  test("stops at an abort before the move with the caller's reason, and ignores one after it", async () => {
    const { inner } = await withOld();
    const reason = new Error("enough");
    const points = ["sync", "close", "move", "syncDirectory"];
    for (const point of points) {
      const controller = new AbortController();
      const storage = new FaultStorage(abortingAt(inner, point, () => controller.abort(reason)));
      const file = await DurableFile.create(storage, PATH, { overwrite: true, randomName: "0123" });
      await file.write(bytes(point));
      const outcome = await file.commit({ signal: controller.signal }).then(
        () => "committed",
        (error) => error,
      );
      await file.abort();
      const isTooLate = point === "move" || point === "syncDirectory";
      expect(outcome).toBe(isTooLate ? "committed" : reason);
      expect(await readFile(inner, PATH)).toBe(isTooLate ? point : "old");
      expect(await names(inner)).toEqual(["a.cairn"]);
    }
  });
});

/** Flips a bit of what is written, as bad memory would. */
function corrupting(inner: Storage): Storage {
  return overriding(inner, {
    createExclusive: async (path: string) => {
      const writer = await inner.createExclusive(path);
      return {
        write: (part: Uint8Array) => writer.write(part.map((byte, index) => (index === 0 ? byte ^ 1 : byte))),
        sync: () => writer.sync(),
        close: () => writer.close(),
      };
    },
  });
}

/** Calls `act` while the operation `point` is under way. */
function abortingAt(inner: Storage, point: string, act: () => void): Storage {
  const when = async <T>(op: string, work: () => Promise<T>): Promise<T> => {
    if (op === point) act();
    return await work();
  };
  return overriding(inner, {
    move: (from: string, to: string) => when("move", () => inner.move(from, to)),
    syncDirectory: (directory: string) => when("syncDirectory", () => inner.syncDirectory(directory)),
    createExclusive: async (path: string) => {
      const writer = await inner.createExclusive(path);
      return {
        write: (part: Uint8Array) => writer.write(part),
        sync: () => when("sync", () => writer.sync()),
        close: () => when("close", () => writer.close()),
      };
    },
  });
}

function overriding(inner: Storage, methods: Partial<Storage>): Storage {
  return {
    describe: (path) => inner.describe(path),
    list: (directory) => inner.list(directory),
    makeDirectory: (directory) => inner.makeDirectory(directory),
    createExclusive: (path) => inner.createExclusive(path),
    openRead: (path) => inner.openRead(path),
    move: (from, to, options) => inner.move(from, to, options),
    remove: (path) => inner.remove(path),
    syncDirectory: (directory) => inner.syncDirectory(directory),
    freeBytes: (directory) => inner.freeBytes(directory),
    ...methods,
  };
}
