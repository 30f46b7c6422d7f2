import { checkOptions } from "../../base/options/options.ts";
import { CairnError } from "../../base/errors.ts";
import { randomHex } from "../../base/hex.ts";
import { TEMPORARY_PREFIX } from "../durable_file.ts";
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
import { checkDirectoryPath, checkFilePath, nameOf } from "../storage_path.ts";
import { LOG_PREFIX, type LoggedFile } from "./log_entry.ts";
import { S3Client } from "./s3_client.ts";
import { collect, DATA_PREFIX, type S3Collected } from "./s3_collect.ts";
import { FILES_PREFIX, heldName, isHeld, leasesOfHeld, leasesOn } from "./s3_holds.ts";
import { parseS3Location } from "./s3_location.ts";
import { type LoggedFiles, S3Log, UncertainCommit } from "./s3_log.ts";
import { createOnce, deleteObject, getObject, headOf, listObjects, putObject } from "./s3_objects.ts";
import { checkS3Options, type S3Options } from "./s3_options.ts";
import { PROBE_PREFIX, requireConditionalWrites } from "./s3_probe.ts";
import { openLogged, openSmall } from "./s3_reader.ts";
import { S3Upload } from "./s3_upload.ts";

/** What is longer is in the log. A small file is read by one request. */
export const SMALL_BYTES: number = 64 * 1024;

const OWN_PREFIXES = [DATA_PREFIX, LOG_PREFIX, FILES_PREFIX, PROBE_PREFIX];

const DEFAULT_PART_BYTES = 8 * 1024 * 1024;
const DEFAULT_PARTS_IN_FLIGHT = 4;
const DAY_MS = 24 * 60 * 60 * 1000;

/** A file of this process without a name that others see. */
interface Unnamed {
  readonly upload: S3Upload | undefined;
  readonly key: string;
  byteLength: number;
  readonly beganMs: number;
  /** The name that it had before, which others may have opened it under. */
  readonly hadName?: string;
  /** Whether its object is there. */
  isStored: boolean;
  /** An entry that names it may come to exist, so that it has to stay. */
  isUncertain: boolean;
}

/**
 * Checkpoints in a bucket of S3, or of a store that is compatible with it and honours `If-None-Match`.
 *
 * Nothing is renamed. The bytes of a file are an object whose name nothing else ever has; a file exists from the
 * moment at which an entry of the log names that object. An entry is written by one conditional request and lists all
 * files, so that a commit is one step, whoever else writes there. Small files beside checkpoints, such as leases, are
 * objects of their own. `docs/s3.md` says what is promised.
 */
export class S3Storage implements Storage {
  readonly #client: S3Client;
  readonly #log: S3Log;
  readonly #options: S3Options;
  readonly #unnamed = new Map<string, Unnamed>();
  #probe: Promise<void> | undefined;
  #collectedMs: number | undefined;

  private constructor(location: string | URL, options: S3Options) {
    this.#client = new S3Client(parseS3Location(location), options);
    this.#log = new S3Log(this.#client);
    this.#options = options;
  }

  /**
   * The storage below `s3://bucket/prefix`. No request is made before something is asked of it.
   *
   * @throws TypeError for a location that names no bucket, an endpoint that is no address, or unknown options.
   */
  static open(location: string | URL, options: S3Options = {}): Promise<S3Storage> {
    try {
      checkS3Options(options);
      return Promise.resolve(new S3Storage(location, options));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  describe(path: string): string {
    return this.#client.describe(path).replace(/\/$/, "");
  }

  async list(directory: string, options: ListOptions = {}): Promise<StorageEntry[]> {
    checkDirectoryPath(directory);
    const { only = () => true } = checkOptions("list()", options, LIST_OPTIONS);
    const prefix = directory === "" ? "" : `${directory}/`;
    const [{ objects, directories }, { files }] = await Promise.all([
      listObjects(this.#client, FILES_PREFIX + prefix, { delimiter: "/" }),
      this.#log.newest(),
    ]);
    const entries = new Map<string, StorageEntry>();
    const add = (entry: StorageEntry): void => void (only(entry.name) && entries.set(entry.name, entry));
    const directoryNamed = (name: string): StorageEntry => ({
      name,
      kind: "directory",
      byteLength: 0,
      modifiedMs: 0,
    });
    for (const path of directories) add(directoryNamed(nameOf(path)));
    for (const { key, byteLength, modifiedMs, etag } of objects) {
      // Others may have made an object for the directory itself.
      if (!key.endsWith("/")) {
        add({ name: nameOf(key), kind: "file", byteLength, modifiedMs, identity: etag });
      }
    }
    for (const [path, { key, byteLength, modifiedMs }] of files) {
      if (!path.startsWith(prefix) || leasesOfHeld(path) !== undefined) continue;
      const [name = "", ...below] = path.slice(prefix.length).split("/");
      if (below.length > 0) add(directoryNamed(name));
      else add({ name, kind: "file", byteLength, modifiedMs, identity: key });
    }
    return [...entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * There are no directories. Before the first write it is tried whether the store honours conditional writes.
   *
   * @throws CairnError `unsupported` where it does not.
   */
  async makeDirectory(directory: string): Promise<void> {
    checkDirectoryPath(directory);
    this.#probe ??= requireConditionalWrites(this.#client);
    try {
      await this.#probe;
    } catch (error) {
      this.#probe = undefined;
      throw error;
    }
  }

  /** Creates a file that others see when it is moved to a name that does not begin with ".tmp-". */
  async createExclusive(path: string): Promise<StorageWriter> {
    checkFilePath(path);
    await this.makeDirectory("");
    if (this.#unnamed.has(path) || await this.#isThere(path)) {
      throw this.#error("already_exists", "create", path);
    }
    const { partBytes = DEFAULT_PART_BYTES, partsInFlight = DEFAULT_PARTS_IN_FLIGHT } = this.#options;
    const key = `${DATA_PREFIX}${randomHex(16)}`;
    const upload = new S3Upload(this.#client, key, partBytes, partsInFlight);
    const beganMs = this.#client.clock.now();
    const file: Unnamed = { upload, key, byteLength: 0, beganMs, isStored: false, isUncertain: false };
    this.#unnamed.set(path, file);
    return {
      write: (bytes) => upload.write(bytes),
      sync: async () => {
        if (upload.byteLength > SMALL_BYTES) await this.#store(file);
      },
      close: async () => {
        if (!nameOf(path).startsWith(TEMPORARY_PREFIX) && this.#unnamed.get(path) === file) {
          await this.#name(path, path, false);
        }
      },
    };
  }

  async openRead(path: string): Promise<StorageReader> {
    checkFilePath(path);
    const unnamed = this.#unnamed.get(path);
    if (unnamed !== undefined) {
      await this.#store(unnamed);
      return await openLogged(this.#client, unnamed, this.describe(path)) ?? this.#missing("read", path);
    }
    // Most of what is no checkpoint is small: both places are looked at in the time of one.
    const [small] = await Promise.all([
      path.endsWith(".cairn") ? undefined : openSmall(this.#client, FILES_PREFIX + path),
      this.#log.newest(),
    ]);
    let before: string | undefined;
    for (let { files } = this.#log.known;; { files } = await this.#log.newest()) {
      const file = files.get(path);
      if (file === undefined) break;
      const reader = await openLogged(this.#client, file, this.describe(path));
      if (reader !== undefined) return reader;
      // Replaced between the two requests; where it was not, its object is gone.
      if (before === file.key) return this.#missing("read", path);
      before = file.key;
    }
    return small ?? await openSmall(this.#client, FILES_PREFIX + path) ?? this.#missing("read", path);
  }

  async move(from: string, to: string, options: MoveOptions = {}): Promise<void> {
    const { replace = true } = checkOptions("move()", options, MOVE_OPTIONS);
    checkFilePath(from);
    checkFilePath(to);
    if (this.#unnamed.has(from)) return await this.#name(from, to, replace);
    if (await this.#isLogged(from)) return await this.#nameAnew(from, to, replace);
    const bytes = await getObject(this.#client, FILES_PREFIX + from) ?? this.#missing("move", from);
    await this.#putSmall(to, new Uint8Array(bytes), replace);
    await deleteObject(this.#client, FILES_PREFIX + from);
  }

  async remove(path: string): Promise<void> {
    checkFilePath(path);
    const unnamed = this.#unnamed.get(path);
    if (unnamed !== undefined) {
      this.#unnamed.delete(path);
      const { hadName } = unnamed;
      return await (hadName === undefined ? this.#drop(unnamed) : this.#letGo(hadName, unnamed));
    }
    if (!await this.#isLogged(path)) {
      if (await headOf(this.#client, FILES_PREFIX + path, 1) === undefined) this.#missing("remove", path);
      return await deleteObject(this.#client, FILES_PREFIX + path);
    }
    await this.#letGo(path, await this.#take(path));
  }

  /** A name is durable as soon as it is there. */
  syncDirectory(directory: string): Promise<void> {
    checkDirectoryPath(directory);
    return Promise.resolve();
  }

  /** From its return on, whoever had claimed the directory before gets `locked` and commits nothing there. */
  async claim(directory: string, token: string): Promise<() => void> {
    checkDirectoryPath(directory);
    await this.makeDirectory(directory);
    return await this.#log.claim(directory, token);
  }

  /**
   * Names right below this location that are none of this storage: of `s3://bucket/runs` those of the runs.
   *
   * @internal
   */
  async below(): Promise<string[]> {
    const { directories } = await listObjects(this.#client, "", { delimiter: "/" });
    return directories.filter((name) => !OWN_PREFIXES.includes(`${name}/`));
  }

  /** A store does not say. */
  freeBytes(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  /**
   * Removes what no checkpoint needs: old entries of the log, and, a day after they were written, objects that no
   * entry names and uploads that nobody finished. It is done by itself with the first commit of a process and then
   * once a day.
   */
  async collect(): Promise<S3Collected> {
    this.#collectedMs = this.#client.clock.now();
    const own = new Set([...this.#unnamed.values()].map(({ key }) => key));
    return await collect(this.#client, this.#log, (key) => own.has(key));
  }

  /** Gives a file of this process a name that others see. */
  async #name(from: string, to: string, replace: boolean): Promise<void> {
    const file = this.#unnamed.get(from) ?? this.#missing("move", from);
    const { upload } = file;
    const isSmall = !file.isStored && upload?.isUnsent === true && upload.byteLength <= SMALL_BYTES &&
      !to.endsWith(".cairn") && !this.#log.known.files.has(to);
    if (isSmall) await this.#putSmall(to, upload.bytes, replace);
    else {
      await this.#store(file);
      const replaced = await this.#commit(file, to, replace);
      if (replaced !== undefined) await this.#letGo(to, replaced).catch(() => {});
      await this.#collectDaily();
    }
    this.#unnamed.delete(from);
  }

  /** @returns What had the name before. */
  async #commit(file: Unnamed, to: string, replace: boolean): Promise<LoggedFile | undefined> {
    const { key, byteLength } = file;
    let replaced: LoggedFile | undefined;
    try {
      await this.#log.append(to, (files) => {
        replaced = files.get(to);
        if (replaced !== undefined && !replace) throw this.#error("already_exists", "move", to);
        return new Map(files).set(to, { key, byteLength, modifiedMs: this.#client.serverMs });
      });
    } catch (error) {
      file.isUncertain = error instanceof UncertainCommit;
      throw error;
    }
    // After a day without a name it may have been taken for an orphan.
    const isOld = this.#client.clock.now() - file.beganMs > DAY_MS / 2;
    if (isOld && await headOf(this.#client, key, 1) === undefined) {
      await this.#take(to).catch(() => {});
      throw this.#error("commit_failed", "move", to);
    }
    return replaced;
  }

  async #nameAnew(from: string, to: string, replace: boolean): Promise<void> {
    if (nameOf(to).startsWith(TEMPORARY_PREFIX)) {
      const { key, byteLength } = await this.#take(from);
      const beganMs = this.#client.clock.now();
      const file = { upload: undefined, key, byteLength, beganMs, isStored: true, isUncertain: false };
      this.#unnamed.set(to, { ...file, hadName: from });
      return;
    }
    await this.#log.append(to, (files) => {
      const file = files.get(from) ?? this.#missing("move", from);
      if (files.has(to) && !replace) throw this.#error("already_exists", "move", to);
      return new Map(without(files, from)).set(to, file);
    });
  }

  /** Takes a name away. */
  async #take(path: string): Promise<LoggedFile> {
    let taken: LoggedFile | undefined;
    await this.#log.append(path, (files) => {
      taken = files.get(path) ?? this.#missing("remove", path);
      return without(files, path);
    });
    return taken ?? this.#missing("remove", path);
  }

  /**
   * Removes the bytes of what has lost the name `path`, unless somebody holds a lease of it: then they stay, under a
   * name that nobody lists. Whoever takes a lease afterwards finds the name gone.
   */
  async #letGo(path: string, { key, byteLength }: Pick<LoggedFile, "key" | "byteLength">): Promise<void> {
    const leases = leasesOn(path);
    if (!await isHeld(this.#client, leases)) return await deleteObject(this.#client, key);
    const file = { key, byteLength, modifiedMs: this.#client.serverMs };
    await this.#log.append(path, (files) => new Map(files).set(heldName(leases, key), file));
  }

  async #store(file: Unnamed): Promise<void> {
    if (file.isStored || file.upload === undefined) return;
    await file.upload.finish();
    file.byteLength = file.upload.byteLength;
    file.isStored = true;
  }

  async #drop({ upload, key, isStored, isUncertain }: Unnamed): Promise<void> {
    if (isUncertain) return;
    if (isStored) await deleteObject(this.#client, key);
    else await upload?.abort();
  }

  async #putSmall(path: string, bytes: Uint8Array<ArrayBuffer>, replace: boolean): Promise<void> {
    const key = FILES_PREFIX + path;
    if (replace) return await putObject(this.#client, key, bytes);
    const created = await createOnce(this.#client, key, bytes);
    if (created.outcome === "taken") throw this.#error("already_exists", "move", path);
    if (created.outcome === "unknown") throw created.error;
  }

  /** Whether a file of the log has this name, or had it a moment ago: a change that finds it gone says so. */
  async #isLogged(path: string): Promise<boolean> {
    if (this.#log.isFresh && this.#log.known.files.has(path)) return true;
    return (await this.#log.newest()).files.has(path);
  }

  async #isThere(path: string): Promise<boolean> {
    if (nameOf(path).startsWith(TEMPORARY_PREFIX)) return false;
    if ((await this.#log.newest()).files.has(path)) return true;
    return await headOf(this.#client, FILES_PREFIX + path, 1) !== undefined;
  }

  async #collectDaily(): Promise<void> {
    const nowMs = this.#client.clock.now();
    if (this.#collectedMs !== undefined && nowMs - this.#collectedMs < DAY_MS) return;
    // What it could not remove waits for the next time.
    await this.collect().catch(() => {});
  }

  #missing(op: string, path: string): never {
    throw this.#error("not_found", op, path);
  }

  #error(code: "not_found" | "already_exists" | "commit_failed", op: string, path: string): CairnError {
    const full = this.describe(path);
    return new CairnError(code, `Cannot ${op} "${full}": ${REASONS[code]}`, { details: { op, path: full } });
  }
}

const REASONS = {
  not_found: "there is no such file; check the path",
  already_exists: "it exists already; choose another name",
  commit_failed: "it took so long to write that its bytes were collected; save again",
};

function without(files: LoggedFiles, path: string): LoggedFiles {
  return new Map([...files].filter(([each]) => each !== path));
}
