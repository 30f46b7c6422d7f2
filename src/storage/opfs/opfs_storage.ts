import { checkOptions } from "../../base/options/options.ts";
import { CairnError } from "../../base/errors.ts";
import { hostError, hostErrorCode } from "../host_error.ts";
import { OpfsWriters } from "./opfs_writers.ts";
import {
  LIST_OPTIONS,
  type ListOptions,
  MOVE_OPTIONS,
  type MoveOptions,
  type Storage,
  type StorageEntry,
  type StorageReader,
  type StorageWriter,
} from "../storage.ts";
import { storageError } from "../storage_error.ts";
import { checkDirectoryPath, checkFilePath, directoryOf, nameOf } from "../storage_path.ts";

/** What browsers have and the type library does not know yet. */
interface Movable {
  move?(directory: FileSystemDirectoryHandle, name: string): Promise<void>;
}

/**
 * Real files of a browser: the private file system of a page's origin (OPFS), in which `autoSave` works on a page.
 *
 * Bytes are written by a worker and flushed before a file gets its name, and a file gets its name in one step. A
 * browser has no way to make a name durable: after a crash of the page or the browser a checkpoint that was saved is
 * there; after a power cut the last ones may be missing, as may be everything when the browser clears the origin's
 * data, unless `navigator.storage.persist()` was granted. `docs/durability.md` says more.
 */
export class OpfsStorage implements Storage {
  readonly #root: FileSystemDirectoryHandle;
  readonly #prefix: string;
  readonly #writers = new OpfsWriters();

  private constructor(root: FileSystemDirectoryHandle, prefix: string) {
    this.#root = root;
    this.#prefix = prefix;
  }

  /**
   * Opens a directory of the origin's private file system, and makes it where it is missing.
   *
   * @param directory Its path, with "/" between segments; the root unless given.
   * @throws CairnError `unsupported` outside of a browser, and in one that cannot rename files.
   */
  static async open(directory: string = ""): Promise<OpfsStorage> {
    checkDirectoryPath(directory);
    const isSupported = typeof globalThis.navigator?.storage?.getDirectory === "function" &&
      typeof FileSystemFileHandle === "function" && "move" in FileSystemFileHandle.prototype;
    if (!isSupported) {
      throw new CairnError(
        "unsupported",
        "There is no private file system here whose files can be renamed: OpfsStorage is for pages of current " +
          "browsers, in a secure context; elsewhere use FileStorage or MemoryStorage",
      );
    }
    let root = await navigator.storage.getDirectory();
    for (const segment of segmentsOf(directory)) {
      root = await root.getDirectoryHandle(segment, { create: true });
    }
    return new OpfsStorage(root, directory === "" ? "" : `${directory}/`);
  }

  describe(path: string): string {
    return `opfs:/${this.#prefix}${path}`;
  }

  list(directory: string, options: ListOptions = {}): Promise<StorageEntry[]> {
    return this.#run("list", directory, async () => {
      const { only = () => true } = checkOptions("list()", options, LIST_OPTIONS);
      checkDirectoryPath(directory);
      let folder: FileSystemDirectoryHandle;
      try {
        folder = await this.#directory(directory);
      } catch (error) {
        if (hostErrorCode(error) === "ENOENT") return [];
        throw error;
      }
      const entries: StorageEntry[] = [];
      for await (const [name, handle] of folder.entries()) {
        if (only(name)) entries.push(await entryOf(name, handle));
      }
      return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    });
  }

  makeDirectory(directory: string): Promise<void> {
    return this.#run("create the directory", directory, async () => {
      checkDirectoryPath(directory);
      await this.#directory(directory, true);
    });
  }

  createExclusive(path: string): Promise<StorageWriter> {
    return this.#run("create", path, async () => {
      checkFilePath(path);
      const folder = await this.#directory(directoryOf(path));
      if (await kindIn(folder, nameOf(path)) !== undefined) throw hostError("EEXIST");
      const writer = await this.#writers.create([...segmentsOf(this.#prefix), ...segmentsOf(path)]);
      return {
        write: (bytes) => this.#run("write", path, () => writer.write(bytes)),
        sync: () => this.#run("sync", path, () => writer.flush()),
        close: () => this.#run("close", path, () => writer.close()),
      };
    });
  }

  openRead(path: string): Promise<StorageReader> {
    return this.#run("open", path, async () => {
      const file = await (await this.#file(path)).getFile();
      let isOpen = true;
      return {
        byteLength: file.size,
        read: (offset, into) =>
          this.#run("read", path, async () => {
            if (!isOpen) throw hostError("EBADF");
            const part = await file.slice(offset, offset + into.byteLength).arrayBuffer();
            into.set(new Uint8Array(part));
            return part.byteLength;
          }),
        close: () => {
          isOpen = false;
          return Promise.resolve();
        },
      };
    });
  }

  move(from: string, to: string, options: MoveOptions = {}): Promise<void> {
    return this.#run("move", to, async () => {
      const { replace = true } = checkOptions("move()", options, MOVE_OPTIONS);
      checkFilePath(to);
      const file: FileSystemFileHandle & Movable = await this.#file(from);
      const folder = await this.#directory(directoryOf(to));
      const there = await kindIn(folder, nameOf(to));
      if (there === "directory") throw hostError("EISDIR");
      if (there === "file" && !replace) throw hostError("EEXIST");
      await file.move?.(folder, nameOf(to));
    });
  }

  remove(path: string): Promise<void> {
    return this.#run("remove", path, async () => {
      await this.#file(path);
      await (await this.#directory(directoryOf(path))).removeEntry(nameOf(path));
    });
  }

  /** Only looks whether there is one: no browser has a way to do more. */
  syncDirectory(directory: string): Promise<void> {
    return this.#run("sync the directory", directory, async () => {
      checkDirectoryPath(directory);
      await this.#directory(directory);
    });
  }

  /** What is left of the origin's quota. */
  async freeBytes(directory: string): Promise<number | undefined> {
    checkDirectoryPath(directory);
    const { quota, usage } = await navigator.storage.estimate();
    return quota === undefined || usage === undefined ? undefined : Math.max(0, quota - usage);
  }

  async #directory(path: string, create = false): Promise<FileSystemDirectoryHandle> {
    let folder = this.#root;
    for (const segment of segmentsOf(path)) {
      folder = await asOfHost("ENOTDIR", folder.getDirectoryHandle(segment, { create }));
    }
    return folder;
  }

  async #file(path: string): Promise<FileSystemFileHandle> {
    checkFilePath(path);
    const folder = await this.#directory(directoryOf(path));
    return await asOfHost("EISDIR", folder.getFileHandle(nameOf(path)));
  }

  /** Runs `work` as an operation of a file system would: it fails with the same errors. */
  async #run<T>(op: string, path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await asOfHost("EISDIR", work());
    } catch (error) {
      const isCallersMistake = error instanceof TypeError || error instanceof CairnError;
      throw isCallersMistake ? error : storageError(op, this.describe(path), error);
    }
  }
}

function segmentsOf(path: string): string[] {
  return path.split("/").filter((segment) => segment !== "");
}

async function entryOf(name: string, handle: FileSystemHandle): Promise<StorageEntry> {
  if (handle.kind === "directory") return { name, kind: "directory", byteLength: 0, modifiedMs: 0 };
  const { size, lastModified } = await (handle as FileSystemFileHandle).getFile();
  return { name, kind: "file", byteLength: size, modifiedMs: lastModified };
}

async function kindIn(
  folder: FileSystemDirectoryHandle,
  name: string,
): Promise<FileSystemHandleKind | undefined> {
  try {
    return (await folder.getFileHandle(name)).kind;
  } catch (error) {
    if (error instanceof DOMException && error.name === "TypeMismatchError") return "directory";
    if (error instanceof DOMException && error.name === "NotFoundError") return undefined;
    throw error;
  }
}

/** What fails by a browser's name fails by that of a host's file system; `mismatch` is for no directory, or no file. */
async function asOfHost<T>(mismatch: "ENOTDIR" | "EISDIR", work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (hostErrorCode(error) !== "") throw error;
    const name = error instanceof Error ? error.name : "";
    const code = { NotFoundError: "ENOENT", QuotaExceededError: "ENOSPC", TypeMismatchError: mismatch }[name];
    throw code === undefined ? error : Object.assign(hostError(code), { cause: error });
  }
}
