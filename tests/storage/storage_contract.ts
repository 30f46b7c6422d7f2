import { describe, expect, test } from "bun:test";
import type { Storage } from "../../src/storage/storage.ts";
import { CairnError } from "../../src/base/errors.ts";
import { thrownBy } from "../helpers/thrown.ts";

/** What a storage may do otherwise than others. */
export interface StorageContractOptions {
  /** Whether a reader goes on where its file was replaced or removed. Default true; else it fails, and says so. */
  readonly keepsOpenFiles?: boolean;
}

/** What every storage promises. `open` gives a fresh, empty one. */
export function testStorageContract(
  name: string,
  open: () => Promise<Storage>,
  { keepsOpenFiles = true }: StorageContractOptions = {},
): void {
  describe(`${name} as a storage`, () => {
    test("reads back what was written", async () => {
      const storage = await open();
      await writeFile(storage, "a.bin", bytes("hello "), bytes("world"));
      expect(await readFile(storage, "a.bin")).toBe("hello world");
    });

    test("keeps files in directories that were made first", async () => {
      const storage = await open();
      expect(await codeOf(storage.createExclusive("runs/one/a.bin"))).toBe("not_found");
      await storage.makeDirectory("runs/one");
      await storage.makeDirectory("runs/one");
      await writeFile(storage, "runs/one/a.bin", bytes("x"));
      expect((await storage.list("runs")).map(({ name, kind }) => [name, kind])).toEqual([[
        "one",
        "directory",
      ]]);
      const [entry] = await storage.list("runs/one");
      expect(entry).toMatchObject({ name: "a.bin", kind: "file", byteLength: 1 });
      expect(entry?.modifiedMs).toBeGreaterThan(1e12);
    });

    test("names are those of the list, and a list asks about the entries it is told to", async () => {
      const storage = await open();
      await storage.makeDirectory("many");
      for (const name of ["b", "a", "c"]) await writeFile(storage, `many/${name}`, bytes(name));
      const names = (await storage.list("many")).map(({ name }) => name);
      expect(names).toEqual(["a", "b", "c"]);
      if (storage.names !== undefined) {
        expect(await storage.names("many")).toEqual(names);
        expect(await storage.names("nowhere")).toEqual([]);
      }
      const only = await storage.list("many", { only: (name) => name === "b" });
      expect(only.map(({ name }) => name)).toContain("b");
    });

    test("the identity of a file is another one as soon as it is replaced", async () => {
      const storage = await open();
      await writeFile(storage, "file", bytes("one"));
      const identityOf = async (): Promise<string | undefined> => {
        const entries = await storage.list("");
        return entries.find(({ name }) => name === "file")?.identity;
      };
      const first = await identityOf();
      expect(await identityOf()).toBe(first as string);
      await writeFile(storage, "other", bytes("two"));
      await storage.move("other", "file");
      if (first !== undefined) expect(await identityOf()).not.toBe(first);
    });

    test("lists nothing where there is no directory, and names in order elsewhere", async () => {
      const storage = await open();
      expect(await storage.list("nowhere")).toEqual([]);
      await storage.makeDirectory("");
      for (const path of ["b", "a", "c"]) await writeFile(storage, path, bytes(path));
      expect((await storage.list("")).map((entry) => entry.name)).toEqual(["a", "b", "c"]);
    });

    test("never creates a file over another", async () => {
      const storage = await open();
      await writeFile(storage, "a.bin", bytes("old"));
      expect(await codeOf(storage.createExclusive("a.bin"))).toBe("already_exists");
      expect(await readFile(storage, "a.bin")).toBe("old");
    });

    test("says not_found, with the operation and the path, for a file that is not there", async () => {
      const storage = await open();
      const error = await errorOf(storage.openRead("gone.bin"));
      expect(error.code).toBe("not_found");
      expect(error.details.op).toBe("open");
      expect(error.details.path).toContain("gone.bin");
      expect(error.message).toContain("gone.bin");
      expect(error.cause).toBeDefined();
      expect(await codeOf(storage.remove("gone.bin"))).toBe("not_found");
      expect(await codeOf(storage.move("gone.bin", "b.bin"))).toBe("not_found");
      expect(await codeOf(storage.syncDirectory("gone"))).toBe("not_found");
    });

    test("moves a file over another one in a step, unless it must not replace", async () => {
      const storage = await open();
      await writeFile(storage, "old.bin", bytes("old"));
      await writeFile(storage, "new.bin", bytes("new"));
      expect(await codeOf(storage.move("new.bin", "old.bin", { replace: false }))).toBe("already_exists");
      expect(await readFile(storage, "old.bin")).toBe("old");
      expect(await readFile(storage, "new.bin")).toBe("new");
      await storage.move("new.bin", "old.bin");
      expect(await readFile(storage, "old.bin")).toBe("new");
      await storage.move("old.bin", "third.bin", { replace: false });
      expect((await storage.list("")).map((entry) => entry.name)).toEqual(["third.bin"]);
    });

    test("lets an open reader see the file it opened, after that was replaced or removed", async () => {
      const storage = await open();
      await writeFile(storage, "a.bin", bytes("old"));
      await writeFile(storage, "b.bin", bytes("newer"));
      const reader = await storage.openRead("a.bin");
      await storage.move("b.bin", "a.bin");
      await storage.remove("a.bin");
      const into = new Uint8Array(8);
      expect(reader.byteLength).toBe(3);
      if (keepsOpenFiles) {
        expect(await reader.read(0, into)).toBe(3);
        expect(new TextDecoder().decode(into.subarray(0, 3))).toBe("old");
      } else {
        expect(["storage_failed", "not_found"]).toContain(await codeOf(reader.read(0, into)));
      }
      await reader.close();
      expect(await storage.list("")).toEqual([]);
    });

    test("appends to files and cuts them, or has neither", async () => {
      const storage = await open();
      if (!canAppend(storage)) return;
      const append = async (path: string, text: string): Promise<void> => {
        const writer = await storage.openAppend(path);
        for (let rest = bytes(text); rest.byteLength > 0;) rest = rest.subarray(await writer.write(rest));
        await writer.sync();
        await writer.close();
      };
      await append("log", "one ");
      await append("log", "two");
      expect(await readFile(storage, "log")).toBe("one two");
      await storage.truncate("log", 5);
      expect(await readFile(storage, "log")).toBe("one t");
      await append("log", "hree");
      expect(await readFile(storage, "log")).toBe("one three");
      await storage.truncate("log", 0);
      expect(await readFile(storage, "log")).toBe("");
      for (const wrong of [1, -1, 0.5, NaN]) {
        expect(await thrownBy(() => storage.truncate("log", wrong))).toBeInstanceOf(RangeError);
      }
      expect(await codeOf(storage.truncate("nowhere", 0))).toBe("not_found");
      expect(await codeOf(storage.openAppend("nowhere/log"))).toBe("not_found");
      await storage.makeDirectory("directory");
      expect(await codeOf(storage.openAppend("directory"))).toBe("storage_failed");
      expect(await codeOf(storage.truncate("directory", 0))).toBe("storage_failed");
      expect(await thrownBy(() => storage.openAppend("../log"))).toBeInstanceOf(TypeError);
      expect(await thrownBy(() => storage.truncate("../log", 0))).toBeInstanceOf(TypeError);
    });

    test("lets what was appended be read before the file is closed", async () => {
      const storage = await open();
      if (!canAppend(storage)) return;
      const writer = await storage.openAppend("log");
      expect(await writer.write(bytes("so far"))).toBe(6);
      expect(await readFile(storage, "log")).toBe("so far");
      await writer.close();
      expect(await codeOf(writer.write(bytes("more")))).toBe("storage_failed");
    });

    test("reads at any offset, short at the end and nothing past it", async () => {
      const storage = await open();
      await writeFile(storage, "a.bin", bytes("0123456789"));
      const reader = await storage.openRead("a.bin");
      const into = new Uint8Array(4);
      expect(await reader.read(3, into)).toBe(4);
      expect(new TextDecoder().decode(into)).toBe("3456");
      expect(await reader.read(8, into)).toBe(2);
      expect(await reader.read(10, into)).toBe(0);
      expect(await reader.read(99, into)).toBe(0);
      expect(await reader.read(0, new Uint8Array(0))).toBe(0);
      await reader.close();
      expect(await codeOf(reader.read(0, into))).toBe("storage_failed");
      await reader.close();
    });

    test("refuses a directory where a file is asked for, and a file where a directory is", async () => {
      const storage = await open();
      await storage.makeDirectory("runs");
      await writeFile(storage, "a.bin", bytes("x"));
      expect(await codeOf(storage.openRead("runs"))).toBe("storage_failed");
      expect(await codeOf(storage.createExclusive("runs"))).toBe("already_exists");
      expect(await codeOf(storage.makeDirectory("a.bin/below"))).toBe("storage_failed");
      expect(await codeOf(storage.list("a.bin"))).toBe("storage_failed");
    });

    test("syncs files and directories, and tells how much space is left", async () => {
      const storage = await open();
      await storage.makeDirectory("runs");
      const writer = await storage.createExclusive("runs/a.bin");
      await writer.write(bytes("x"));
      await writer.sync();
      await writer.close();
      await storage.syncDirectory("runs");
      const free = await storage.freeBytes("runs");
      expect(free === undefined || free > 0).toBe(true);
      expect(await codeOf(writer.write(bytes("y")))).toBe("storage_failed");
    });

    test("refuses paths that could leave it before it touches anything", async () => {
      const storage = await open();
      const bad = [
        "../a",
        "a/../b",
        "/etc/passwd",
        "a//b",
        "a/",
        ".",
        "a\\b",
        "C:/a",
        "a\0b",
        "a\nb",
        "\ud800",
        "",
      ];
      for (const path of bad) {
        const calls: (() => Promise<unknown>)[] = [
          () => storage.createExclusive(path),
          () => storage.openRead(path),
        ];
        for (const call of calls) {
          const failure: unknown = await call().catch((error: unknown) => error);
          expect(failure instanceof TypeError ? "TypeError" : `${JSON.stringify(path)}: ${failure}`).toBe(
            "TypeError",
          );
        }
      }
      expect(await storage.list("")).toEqual([]);
    });
  });
}

/** Whether a storage has what a storage may have beside what it must have: both or none. */
function canAppend(
  storage: Storage,
): storage is Storage & Required<Pick<Storage, "openAppend" | "truncate">> {
  expect(storage.openAppend === undefined).toBe(storage.truncate === undefined);
  return storage.openAppend !== undefined;
}

export async function writeFile(storage: Storage, path: string, ...parts: Uint8Array[]): Promise<void> {
  const writer = await storage.createExclusive(path);
  for (const part of parts) {
    for (let rest = part; rest.byteLength > 0;) rest = rest.subarray(await writer.write(rest));
  }
  await writer.close();
}

export async function readFile(storage: Storage, path: string): Promise<string> {
  const reader = await storage.openRead(path);
  const into = new Uint8Array(reader.byteLength);
  for (let offset = 0; offset < into.byteLength;) {
    const count = await reader.read(offset, into.subarray(offset));
    if (count === 0) throw new Error(`${path} ended at ${offset}`);
    offset += count;
  }
  await reader.close();
  return new TextDecoder().decode(into);
}

export async function errorOf(promise: Promise<unknown>): Promise<CairnError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof CairnError) return error;
    throw new Error(`Expected a CairnError, got ${error}`, { cause: error });
  }
  throw new Error("Expected a CairnError, but nothing was thrown");
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await errorOf(promise)).code;
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
