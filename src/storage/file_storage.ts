import { refuseTilde } from "../base/options/refuse_tilde.ts";
import { checkOptions } from "../base/options/options.ts";
import { LIST_OPTIONS, type ListOptions, MOVE_OPTIONS, type MoveOptions } from "./storage.ts";
import type { Storage, StorageEntry, StorageReader, StorageWriter } from "./storage.ts";
import { CairnError } from "../base/errors.ts";
import { AppendedFile, cutFile } from "./append_file.ts";
import { BlockMemory, BlockWriter, type PositionedFile } from "./block_writer.ts";
import { nodeBuiltin } from "../base/node_builtin.ts";
import { ratesOfDisk } from "./disk_rates.ts";
import { freeBytesOf } from "./free_bytes.ts";
import { checkDirectoryPath, checkFilePath, directoryOf, joinPath } from "./storage_path.ts";
import { OpenFile } from "./open_file.ts";
import { hostError, hostErrorCode, isDeniedByDeno, unlessCode } from "./host_error.ts";
import { storageError } from "./storage_error.ts";
import { WriteThread } from "./write_thread.ts";

// Types only, written so that no module of the host is imported.
type FileSystem = typeof import("node:fs");
type PathModule = typeof import("node:path");
type Stats = import("node:fs").Stats;

/** A file, and what the system knows it by. */
interface IdentifiedFile extends PositionedFile {
  readonly identity: { readonly ino: number; readonly dev: number };
}

/** File systems without hard links say one of these; a link is only how a name is taken without replacing another. */
const NO_LINKS: ReadonlySet<string> = new Set([
  "EPERM",
  "ENOTSUP",
  "EOPNOTSUPP",
  "ENOSYS",
  "EMLINK",
  "EINVAL",
]);
/**
 * Reads of up to so many bytes are done on this very thread. From the system's cache that takes a tenth of a
 * millisecond, less than to have another thread do it, and what was read is in this one's cache when it is summed up
 * or decoded.
 */
const MAX_SYNC_READ = 1024 * 1024;
const DENIED: ReadonlySet<string> = new Set(["EACCES", "EPERM"]);

/**
 * A {@link Storage} in a directory of the local file system, in Deno, Bun and Node.
 *
 * Links inside the root are never followed, so that nothing outside it is opened; the root itself may be one.
 * On Windows a directory cannot be synced, and `syncDirectory` does nothing: NTFS journals the names.
 */
export class FileStorage implements Storage {
  /** The absolute path of the directory. */
  readonly root: string;
  readonly #fs: FileSystem;
  readonly #path: PathModule;
  /** Directories whose name in their parent was made durable through this object. */
  readonly #durableDirectories = new Set<string>();
  readonly #blockMemory = new BlockMemory({ isShared: WriteThread.isPossible() });

  private constructor(root: string, fs: FileSystem, path: PathModule) {
    this.root = root;
    this.#fs = fs;
    this.#path = path;
  }

  /**
   * The storage in the directory `root`, which need not exist yet: the first `makeDirectory` creates it.
   *
   * @throws CairnError `unsupported` where there is no file system, `storage_failed` when `root` is no directory.
   */
  static async open(root: string | URL): Promise<FileStorage> {
    const fs = nodeBuiltin("node:fs");
    const path = nodeBuiltin("node:path");
    const url = nodeBuiltin("node:url");
    if (fs === undefined || path === undefined || url === undefined) {
      throw new CairnError("unsupported", "This runtime has no file system (node:fs); use MemoryStorage");
    }
    refuseTilde(root);
    if (root === "") {
      throw new TypeError('The root of a FileStorage must not be empty; "." is the current directory');
    }
    const absolute = path.resolve(typeof root === "string" ? root : url.fileURLToPath(root));
    const storage = new FileStorage(absolute, fs, path);
    const found = await storage.#run("open", "", () => unlessCode(fs.promises.stat(absolute), "ENOENT"));
    if (found !== undefined && !found.isDirectory()) {
      throw storageError("open", absolute, hostError("ENOTDIR"));
    }
    return storage;
  }

  describe(path: string): string {
    return path === "" ? this.root : this.#path.join(this.root, path);
  }

  list(directory: string, options: ListOptions = {}): Promise<StorageEntry[]> {
    return this.#run("list", directory, async () => {
      checkOptions("list()", options, LIST_OPTIONS);
      const { only = () => true } = options;
      const full = this.describe(directory);
      const entries: StorageEntry[] = [];
      for (const name of (await this.#names(directory)).filter(only)) {
        // A file may be gone between the two calls: another process keeps only its last checkpoints.
        const stats = await unlessCode(this.#fs.promises.lstat(this.#path.join(full, name)), "ENOENT");
        if (stats !== undefined) entries.push(entryOf(name, stats));
      }
      return entries;
    });
  }

  names(directory: string): Promise<string[]> {
    return this.#run("list", directory, () => this.#names(directory));
  }

  async #names(directory: string): Promise<string[]> {
    checkDirectoryPath(directory);
    await this.#refuseLinks(directory);
    const names = await unlessCode(this.#fs.promises.readdir(this.describe(directory)), "ENOENT") ?? [];
    return names.sort();
  }

  makeDirectory(directory: string): Promise<void> {
    return this.#run("create the directory", directory, async () => {
      checkDirectoryPath(directory);
      await this.#makeRoot(this.root);
      let path = "";
      for (const segment of directory === "" ? [] : directory.split("/")) {
        path = joinPath(path, segment);
        await this.#makeInside(path);
      }
    });
  }

  createExclusive(path: string): Promise<StorageWriter> {
    return this.#run("create", path, async () => {
      checkFilePath(path);
      await this.#refuseLinks(directoryOf(path));
      const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = this.#fs.constants;
      const flags = O_WRONLY | O_CREAT | O_EXCL | (O_NOFOLLOW ?? 0);
      const file = await OpenFile.open(this.#fs, this.describe(path), flags, 0o666);
      return this.#writer(path, file, (await file.stat()).dev);
    });
  }

  openAppend(path: string): Promise<StorageWriter> {
    return this.#run("open", path, async () => {
      checkFilePath(path);
      await this.#refuseLinks(directoryOf(path));
      const file = await AppendedFile.open(this.#fs, this.describe(path));
      return {
        write: (bytes) => this.#run("write", path, () => file.write(bytes)),
        sync: () => this.#run("sync", path, () => file.sync()),
        close: () => this.#run("close", path, () => file.close()),
      };
    });
  }

  truncate(path: string, byteLength: number): Promise<void> {
    return this.#run("truncate", path, async () => {
      checkFilePath(path);
      await this.#refuseLinks(directoryOf(path));
      await cutFile(this.#fs, this.describe(path), byteLength);
    });
  }

  openRead(path: string): Promise<StorageReader> {
    return this.#run("open", path, async () => {
      checkFilePath(path);
      await this.#refuseLinks(directoryOf(path));
      const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = this.#fs.constants;
      // Without O_NONBLOCK the open of a named pipe would wait for a writer for ever.
      const flags = O_RDONLY | (O_NOFOLLOW ?? 0) | (O_NONBLOCK ?? 0);
      const file = await OpenFile.open(this.#fs, this.describe(path), flags);
      try {
        const stats = await file.stat();
        if (stats.isDirectory()) throw hostError("EISDIR");
        if (!stats.isFile()) throw new Error("it is no plain file");
        return this.#reader(path, file, stats.size);
      } catch (error) {
        await file.close();
        throw error;
      }
    });
  }

  move(from: string, to: string, options: MoveOptions = {}): Promise<void> {
    return this.#run("move", to, async () => {
      checkOptions("move()", options, MOVE_OPTIONS);
      checkFilePath(from);
      checkFilePath(to);
      await this.#refuseLinks(directoryOf(from));
      await this.#refuseLinks(directoryOf(to));
      const source = this.describe(from);
      const target = this.describe(to);
      if (options.replace === false) return await this.#moveToNewName(source, target);
      await this.#fs.promises.rename(source, target);
    });
  }

  remove(path: string): Promise<void> {
    return this.#run("remove", path, async () => {
      checkFilePath(path);
      await this.#refuseLinks(directoryOf(path));
      await this.#fs.promises.unlink(this.describe(path));
    });
  }

  syncDirectory(directory: string): Promise<void> {
    return this.#run("sync the directory", directory, async () => {
      checkDirectoryPath(directory);
      await this.#refuseLinks(directory);
      await this.#syncDirectory(this.describe(directory));
    });
  }

  freeBytes(directory: string): Promise<number | undefined> {
    return this.#run("measure", directory, async () => {
      checkDirectoryPath(directory);
      if (this.#fs.promises.statfs === undefined) return undefined;
      // The directory need not exist yet: what counts is the file system that it will be on.
      for (let full = this.describe(directory);; full = this.#path.dirname(full)) {
        const found = await unlessCode(this.#fs.promises.statfs(full), "ENOENT");
        if (found !== undefined) return freeBytesOf(found);
        if (full === this.#path.dirname(full)) return undefined;
      }
    });
  }

  #writer(path: string, file: OpenFile, device: number): StorageWriter {
    const disk = ratesOfDisk(device);
    const blocks = new BlockWriter(file, {
      openDirect: (memory) => this.#openDirect(path, file, memory),
      memory: this.#blockMemory,
      disk,
    });
    return {
      get durableBytesPerSecond() {
        return disk.durableBytesPerSecond;
      },
      takesShared: true,
      expect: (byteLength) => blocks.expect(byteLength),
      write: (bytes) => this.#run("write", path, () => blocks.write(bytes)),
      sync: async () => {
        await this.#run("write", path, () => blocks.flush());
        await this.#run("sync", path, () => blocks.sync());
      },
      close: () => this.#run("close", path, () => blocks.close()),
    };
  }

  /** The `file` that is open, for writes that go around the system's cache; `undefined` where it cannot be had. */
  async #openDirect(
    path: string,
    file: OpenFile,
    memory: ArrayBufferLike,
  ): Promise<PositionedFile | undefined> {
    const { O_WRONLY, O_NOFOLLOW, O_DIRECT } = this.#fs.constants;
    if (O_DIRECT === undefined) return undefined;
    const flags = O_WRONLY | O_DIRECT | (O_NOFOLLOW ?? 0);
    const opening: Promise<IdentifiedFile> = memory instanceof ArrayBuffer
      ? openHere(this.#fs, this.describe(path), flags)
      : WriteThread.shared().open(this.describe(path), flags, memory);
    // Whatever is wrong, the file that is open already can be written to.
    const direct = await opening.catch(() => undefined);
    const ours = await file.stat();
    if (direct === undefined) return undefined;
    if (ours.ino === direct.identity.ino && ours.dev === direct.identity.dev) return direct;
    await direct.close();
    return undefined;
  }

  #reader(path: string, file: OpenFile, byteLength: number): StorageReader {
    let isOpen = true;
    return {
      byteLength,
      fillsShared: true,
      read: (offset, into) =>
        this.#run("read", path, async () => {
          if (!isOpen) throw hostError("EBADF");
          // readSync refuses a position outside of the file in one runtime and an empty buffer in another.
          if (into.byteLength === 0 || offset >= byteLength) return 0;
          if (into.byteLength <= MAX_SYNC_READ) return file.readHere(into, offset);
          return await file.read(into, offset);
        }),
      close: async () => {
        if (!isOpen) return;
        isOpen = false;
        await this.#run("close", path, () => file.close());
      },
    };
  }

  /** Takes `target` only if nothing has that name: a hard link fails where a rename would replace. */
  async #moveToNewName(source: string, target: string): Promise<void> {
    try {
      await this.#fs.promises.link(source, target);
    } catch (error) {
      if (!NO_LINKS.has(hostErrorCode(error)) && !isDeniedByDeno(error)) throw error;
      const found = await unlessCode(this.#fs.promises.lstat(target), "ENOENT");
      if (found !== undefined) throw hostError("EEXIST");
      return await this.#fs.promises.rename(source, target);
    }
    // The name is taken, so the move is done. A second link to the file under its temporary name does no harm.
    await this.#fs.promises.unlink(source).catch(() => {});
  }

  /** Creates the root and what is missing above it. */
  async #makeRoot(full: string): Promise<void> {
    const fs = this.#fs.promises;
    const parent = this.#path.dirname(full);
    const found = await unlessCode(fs.stat(full), "ENOENT");
    if (found === undefined) {
      if (parent !== full) await this.#makeRoot(parent);
      await unlessCode(fs.mkdir(full), "EEXIST");
      await this.#syncDirectory(parent);
      this.#durableDirectories.add(full);
    } else if (!found.isDirectory()) {
      throw hostError("ENOTDIR");
    } else if (full === this.root && !this.#durableDirectories.has(full)) {
      // It may be left over from a process that was killed between mkdir and sync. Where the parent may not be opened,
      // that process was not this program's.
      await this.#syncDirectory(parent).catch((error: unknown) => {
        if (!DENIED.has(hostErrorCode(error)) && !isDeniedByDeno(error)) throw error;
      });
      this.#durableDirectories.add(full);
    }
  }

  async #makeInside(directory: string): Promise<void> {
    const full = this.describe(directory);
    const found = await unlessCode(this.#fs.promises.lstat(full), "ENOENT");
    if (found === undefined) {
      await unlessCode(this.#fs.promises.mkdir(full), "EEXIST");
    } else {
      refuseLink(found);
      if (this.#durableDirectories.has(full)) return;
    }
    await this.#syncDirectory(this.#path.dirname(full));
    this.#durableDirectories.add(full);
  }

  async #syncDirectory(full: string): Promise<void> {
    const { O_RDONLY, O_DIRECTORY } = this.#fs.constants;
    // Windows has no O_DIRECTORY and opens no directories.
    if (this.#path.sep === "\\") return;
    const directory = await OpenFile.open(this.#fs, full, O_RDONLY | (O_DIRECTORY ?? 0));
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  /** Throws when `directory` or one above it, up to the root, is a symbolic link. */
  async #refuseLinks(directory: string): Promise<void> {
    for (let path = directory; path !== ""; path = directoryOf(path)) {
      const found = await unlessCode(this.#fs.promises.lstat(this.describe(path)), "ENOENT");
      if (found !== undefined) refuseLink(found);
    }
  }

  async #run<T>(op: string, path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const isCallersMistake = error instanceof TypeError || error instanceof RangeError;
      if (isCallersMistake && hostErrorCode(error) === "") throw error;
      throw storageError(op, this.describe(path), error);
    }
  }
}

async function openHere(fs: FileSystem, path: string, flags: number): Promise<IdentifiedFile> {
  const file = await OpenFile.open(fs, path, flags);
  const { ino, dev } = await file.stat();
  return {
    identity: { ino, dev },
    get times() {
      return file.times;
    },
    write: (bytes, position) => file.write(bytes, position),
    sync: (synced) => file.sync(synced),
    close: () => file.close(),
  };
}

function entryOf(name: string, stats: Stats): StorageEntry {
  const kind = stats.isFile() ? "file" : stats.isDirectory() ? "directory" : "other";
  // The time of the last change of the file or its name, which cannot be set.
  const identity = `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeMs}:${stats.ctimeMs}`;
  return { name, kind, byteLength: kind === "file" ? stats.size : 0, modifiedMs: stats.mtimeMs, identity };
}

function refuseLink(stats: Stats): void {
  if (stats.isSymbolicLink()) throw hostError("ELOOP");
  if (!stats.isDirectory()) throw hostError("ENOTDIR");
}
