import { checkOptions, type OptionNames } from "../base/options/options.ts";
import {
  LIST_OPTIONS,
  type ListOptions,
  MOVE_OPTIONS,
  type MoveOptions,
  type Storage,
  type StorageEntry,
  type StorageReader,
  type StorageWriter,
} from "./storage.ts";
import { CairnError } from "../base/errors.ts";
import { checkDirectoryPath, checkFilePath, directoryOf, joinPath, nameOf } from "./storage_path.ts";
import { requireShorter } from "./append_file.ts";
import { hostError } from "./host_error.ts";
import { storageError } from "./storage_error.ts";

interface MemoryFile {
  /** Another one for each file. */
  readonly id: number;
  bytes: Uint8Array;
  byteLength: number;
  modifiedMs: number;
}

/** Options of {@link MemoryStorage}. */
export interface MemoryStorageOptions {
  /** The clock behind `modifiedMs`; `Date.now` unless given. */
  readonly now?: (() => number) | undefined;
  /** How many bytes of files fit; a write that goes above it is `disk_full`. No limit unless given. */
  readonly capacityBytes?: number | undefined;
}

/** Every option of {@link MemoryStorageOptions}. */
export const MEMORY_STORAGE_OPTIONS: OptionNames<MemoryStorageOptions> = { now: true, capacityBytes: true };

/** A {@link Storage} in memory: for tests, for browsers and for states that need no disk. Gone with the process. */
export class MemoryStorage implements Storage {
  readonly #files = new Map<string, MemoryFile>();
  readonly #directories = new Set<string>([""]);
  #filesMade = 0;
  readonly #now: () => number;
  readonly #capacityBytes: number;

  /** An empty storage. */
  constructor(options: MemoryStorageOptions = {}) {
    checkOptions("MemoryStorage()", options, MEMORY_STORAGE_OPTIONS);
    this.#now = options.now ?? Date.now;
    this.#capacityBytes = options.capacityBytes ?? Number.POSITIVE_INFINITY;
  }

  describe(path: string): string {
    return `memory:${path}`;
  }

  list(directory: string, options: ListOptions = {}): Promise<StorageEntry[]> {
    return this.#run("list", directory, () => {
      checkOptions("list()", options, LIST_OPTIONS);
      const { only = () => true } = options;
      checkDirectoryPath(directory);
      if (this.#files.has(directory)) throw hostError("ENOTDIR");
      const entries: StorageEntry[] = [];
      for (const [path, file] of this.#files) {
        if (directoryOf(path) !== directory || !only(nameOf(path))) continue;
        entries.push({
          name: nameOf(path),
          kind: "file",
          byteLength: file.byteLength,
          modifiedMs: file.modifiedMs,
          identity: `${file.id}:${file.byteLength}`,
        });
      }
      for (const path of this.#directories) {
        if (path === "" || directoryOf(path) !== directory || !only(nameOf(path))) continue;
        entries.push({ name: nameOf(path), kind: "directory", byteLength: 0, modifiedMs: 0 });
      }
      return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    });
  }

  makeDirectory(directory: string): Promise<void> {
    return this.#run("create the directory", directory, () => {
      checkDirectoryPath(directory);
      let path = "";
      for (const segment of directory === "" ? [] : directory.split("/")) {
        path = joinPath(path, segment);
        if (this.#files.has(path)) throw hostError("ENOTDIR");
        this.#directories.add(path);
      }
    });
  }

  createExclusive(path: string): Promise<StorageWriter> {
    return this.#run("create", path, () => {
      checkFilePath(path);
      this.#requireDirectory(directoryOf(path));
      if (this.#files.has(path) || this.#directories.has(path)) throw hostError("EEXIST");
      return this.#writer(path, this.#create(path));
    });
  }

  openAppend(path: string): Promise<StorageWriter> {
    return this.#run("open", path, () => {
      checkFilePath(path);
      this.#requireDirectory(directoryOf(path));
      if (this.#directories.has(path)) throw hostError("EISDIR");
      return this.#writer(path, this.#files.get(path) ?? this.#create(path));
    });
  }

  truncate(path: string, byteLength: number): Promise<void> {
    return this.#run("truncate", path, () => {
      checkFilePath(path);
      if (this.#directories.has(path)) throw hostError("EISDIR");
      const file = this.#require(path);
      requireShorter(byteLength, file.byteLength);
      // Whoever reads it keeps what there was.
      file.bytes = file.bytes.slice(0, byteLength);
      file.byteLength = byteLength;
      file.modifiedMs = this.#now();
    });
  }

  openRead(path: string): Promise<StorageReader> {
    return this.#run("open", path, () => {
      checkFilePath(path);
      if (this.#directories.has(path)) throw hostError("EISDIR");
      return this.#reader(path, this.#require(path));
    });
  }

  move(from: string, to: string, options: MoveOptions = {}): Promise<void> {
    return this.#run("move", to, () => {
      checkOptions("move()", options, MOVE_OPTIONS);
      checkFilePath(from);
      checkFilePath(to);
      const file = this.#require(from);
      this.#requireDirectory(directoryOf(to));
      if (this.#directories.has(to)) throw hostError("EISDIR");
      if (options.replace === false && this.#files.has(to)) throw hostError("EEXIST");
      this.#files.delete(from);
      this.#files.set(to, file);
    });
  }

  remove(path: string): Promise<void> {
    return this.#run("remove", path, () => {
      checkFilePath(path);
      if (this.#directories.has(path)) throw hostError("EISDIR");
      this.#require(path);
      this.#files.delete(path);
    });
  }

  syncDirectory(directory: string): Promise<void> {
    return this.#run("sync the directory", directory, () => {
      checkDirectoryPath(directory);
      this.#requireDirectory(directory);
    });
  }

  freeBytes(directory: string): Promise<number | undefined> {
    return this.#run("measure", directory, () => {
      checkDirectoryPath(directory);
      return Number.isFinite(this.#capacityBytes) ? this.#capacityBytes - this.#usedBytes() : undefined;
    });
  }

  #create(path: string): MemoryFile {
    const bytes = new Uint8Array(0);
    const file = { id: this.#filesMade++, bytes, byteLength: 0, modifiedMs: this.#now() };
    this.#files.set(path, file);
    return file;
  }

  #writer(path: string, file: MemoryFile): StorageWriter {
    let isOpen = true;
    const requireOpen = (): void => {
      if (!isOpen) throw hostError("EBADF");
    };
    return {
      write: (bytes) =>
        this.#run("write", path, () => {
          requireOpen();
          if (this.#usedBytes() + bytes.byteLength > this.#capacityBytes) throw hostError("ENOSPC");
          append(file, bytes);
          file.modifiedMs = this.#now();
          return bytes.byteLength;
        }),
      sync: () => this.#run("sync", path, requireOpen),
      close: () =>
        this.#run("close", path, () => {
          requireOpen();
          isOpen = false;
        }),
    };
  }

  #reader(path: string, file: MemoryFile): StorageReader {
    const bytes = file.bytes.subarray(0, file.byteLength);
    let isOpen = true;
    return {
      byteLength: bytes.byteLength,
      read: (offset, into) =>
        this.#run("read", path, () => {
          if (!isOpen) throw hostError("EBADF");
          const part = bytes.subarray(offset, offset + into.byteLength);
          into.set(part);
          return part.byteLength;
        }),
      close: () => {
        isOpen = false;
        return Promise.resolve();
      },
    };
  }

  #require(path: string): MemoryFile {
    const file = this.#files.get(path);
    if (file === undefined) throw hostError("ENOENT");
    return file;
  }

  #requireDirectory(directory: string): void {
    if (!this.#directories.has(directory)) throw hostError("ENOENT");
  }

  #usedBytes(): number {
    let used = 0;
    for (const file of this.#files.values()) used += file.byteLength;
    return used;
  }

  /** Runs `work` as an operation of a file system would: it fails by rejecting, and with the same errors. */
  #run<T>(op: string, path: string, work: () => T): Promise<T> {
    try {
      return Promise.resolve(work());
    } catch (error) {
      const isCallersMistake = error instanceof TypeError || error instanceof RangeError ||
        error instanceof CairnError;
      return Promise.reject(isCallersMistake ? error : storageError(op, this.describe(path), error));
    }
  }
}

function append(file: MemoryFile, bytes: Uint8Array): void {
  const end = file.byteLength + bytes.byteLength;
  if (end > file.bytes.byteLength) {
    const grown = new Uint8Array(Math.max(end, 2 * file.bytes.byteLength));
    grown.set(file.bytes.subarray(0, file.byteLength));
    file.bytes = grown;
  }
  file.bytes.set(bytes, file.byteLength);
  file.byteLength = end;
}
