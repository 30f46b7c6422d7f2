import { hexOf } from "../base/hex.ts";
import { namesIn } from "./names_in.ts";
import type { Storage, StorageWriter } from "./storage.ts";
import { throwIfAborted } from "../base/abort.ts";
import { CairnError } from "../base/errors.ts";
import { Breather } from "../base/event_loop.ts";
import { crc32 } from "../base/crc32/crc32.ts";
import { crc32Shift, shifted } from "../base/crc32/crc32_shift.ts";
import { checkFilePath, directoryOf, joinPath, nameOf } from "./storage_path.ts";

/** How the name of a file starts that is still being written, or whose writer died. */
export const TEMPORARY_PREFIX = ".tmp-";

const VERIFY_BYTES = 1024 * 1024;

/** Options of {@link DurableFile.create}. */
export interface DurableFileOptions {
  /** Replace a file that already has the name, in one step; otherwise that is `already_exists`. */
  readonly overwrite?: boolean | undefined;
  /** Random text of a fixed length: a temporary name that grew with the path could be too long for the file system. */
  readonly randomName: string;
  /** The caller knows that the name is free, so that it is checked in the commit only. Default false: now as well. */
  readonly isNameFree?: boolean | undefined;
}

/** Options of {@link DurableFile.commit}. */
export interface CommitOptions {
  /** Read the file back before it gets its name, and compare checksums. */
  readonly verify?: boolean | undefined;
  /** Stops a commit that has not yet published the file; from then on success wins. */
  readonly signal?: AbortSignal | undefined;
}

type Phase = "writing" | "committing" | "published" | "committed" | "aborted";

/**
 * A file that exists under its name completely and durably, or not at all: it is written to a temporary file beside it,
 * which is synced, renamed, and made durable by syncing the directory. After a power cut at any moment there is the old
 * file, the new one, or neither if there was no old one; never a part.
 */
export class DurableFile {
  readonly path: string;
  readonly #storage: Storage;
  readonly #temporaryPath: string;
  readonly #overwrite: boolean;
  #writer: StorageWriter | undefined;
  readonly #breather: Breather = new Breather();
  #phase: Phase = "writing";
  #bytesWritten = 0;
  #checksum = 0;
  /** Length of what was written last, and what so many bytes do to a checksum. */
  #pieceBytes = 0;
  #shift: Uint32Array | undefined;

  private constructor(
    storage: Storage,
    path: string,
    temporaryPath: string,
    overwrite: boolean,
    writer: StorageWriter,
  ) {
    this.path = path;
    this.#storage = storage;
    this.#temporaryPath = temporaryPath;
    this.#overwrite = overwrite;
    this.#writer = writer;
  }

  /**
   * Starts a file, and creates its directory where that is missing.
   *
   * @throws CairnError `already_exists` when there is one and `overwrite` is not set.
   */
  static async create(storage: Storage, path: string, options: DurableFileOptions): Promise<DurableFile> {
    checkFilePath(path);
    const overwrite = options.overwrite ?? false;
    const directory = directoryOf(path);
    const temporaryPath = joinPath(directory, TEMPORARY_PREFIX + options.randomName);
    checkFilePath(temporaryPath);
    await storage.makeDirectory(directory);
    // Told before the work is done; what decides is the move at the end, which replaces nothing.
    if (!overwrite && options.isNameFree !== true) await refuseExisting(storage, path);
    const writer = await storage.createExclusive(temporaryPath);
    return new DurableFile(storage, path, temporaryPath, overwrite, writer);
  }

  /** Name of the file beside it that is written until the commit. */
  get temporaryName(): string {
    return nameOf(this.#temporaryPath);
  }

  /** How many bytes were taken so far. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** See `StorageWriter.durableBytesPerSecond`. */
  get durableBytesPerSecond(): number | undefined {
    return this.#writer?.durableBytesPerSecond;
  }

  /** See `StorageWriter.takesShared`. */
  get takesShared(): boolean {
    return this.#writer?.takesShared === true;
  }

  /** Whether the file has its name, which is short of a commit only when syncing the directory failed. */
  get isPublished(): boolean {
    return this.#phase === "published" || this.#phase === "committed";
  }

  /** Whether the file is there and durable. */
  get isCommitted(): boolean {
    return this.#phase === "committed";
  }

  /** See `StorageWriter.expect`. */
  expect(byteLength: number): void {
    this.#writer?.expect?.(byteLength);
  }

  /**
   * Appends all of `bytes`, whose CRC-32 may be known as `crc`, and lets the event loop run: each piece has cost the
   * writer some encoding. After an error the file can only be aborted.
   */
  async write(bytes: Uint8Array, crc?: number): Promise<void> {
    const writer = this.#openWriter("write");
    // What was handed over, not what reached the disk: that is what the read-back is compared with.
    this.#addChecksum(bytes, crc);
    let rest = bytes;
    while (rest.byteLength > 0) {
      const taken = await writer.write(rest);
      if (!(taken > 0 && taken <= rest.byteLength)) {
        throw this.#failed(`the storage took ${taken} bytes`, "write");
      }
      rest = rest.subarray(taken);
    }
    this.#bytesWritten += bytes.byteLength;
    await this.#breather.breathe();
  }

  /**
   * Makes the file exist. When it resolves, the file survives a power cut. When it rejects, nothing was replaced;
   * only if the very last step failed is the new file already in place (`isPublished`), though maybe not durable.
   *
   * @throws CairnError of the storage, or `commit_failed` when the read-back differs; `signal.reason` after an abort.
   */
  async commit(options: CommitOptions = {}): Promise<void> {
    const writer = this.#openWriter("commit");
    throwIfAborted(options.signal);
    this.#phase = "committing";
    // A failed sync is final. The kernel may have dropped the pages and report success the next time.
    await writer.sync();
    this.#writer = undefined;
    await writer.close();
    if (options.verify ?? false) await this.#compareWithDisk();
    throwIfAborted(options.signal);
    await this.#storage.move(this.#temporaryPath, this.path, { replace: this.#overwrite });
    this.#phase = "published";
    await this.#storage.syncDirectory(directoryOf(this.path)); // COMMIT POINT
    this.#phase = "committed";
  }

  /** Closes and removes the temporary file. Does nothing when that was done, or after the file was published. */
  async abort(): Promise<void> {
    if (this.#phase !== "writing" && this.#phase !== "committing") return;
    this.#phase = "aborted";
    const writer = this.#writer;
    this.#writer = undefined;
    // The file is given up: what matters is that its space is freed, not what closing it says.
    await writer?.close().catch(() => {});
    await this.#storage.remove(this.#temporaryPath).catch((error: unknown) => {
      if (!(error instanceof CairnError && error.code === "not_found")) throw error;
    });
  }

  #openWriter(op: string): StorageWriter {
    if (this.#phase === "writing" && this.#writer !== undefined) return this.#writer;
    const state = this.#phase === "committing" ? "its commit failed or is under way" : `it is ${this.#phase}`;
    throw new CairnError("closed", `Cannot ${op} "${this.#storage.describe(this.path)}": ${state}`, {
      details: { op, path: this.path },
    });
  }

  /**
   * A known checksum is joined where the piece is as long as the one before: finding out what a length does takes
   * longer than summing up.
   */
  #addChecksum(bytes: Uint8Array, crc: number | undefined): void {
    if (crc !== undefined && bytes.byteLength === this.#pieceBytes) {
      this.#shift ??= crc32Shift(bytes.byteLength);
      this.#checksum = (shifted(this.#shift, this.#checksum) ^ crc) >>> 0;
      return;
    }
    this.#checksum = crc32(bytes, this.#checksum);
    this.#pieceBytes = bytes.byteLength;
    this.#shift = undefined;
  }

  async #compareWithDisk(): Promise<void> {
    const reader = await this.#storage.openRead(this.#temporaryPath);
    try {
      if (reader.byteLength !== this.#bytesWritten) {
        throw this.#differs(`has ${reader.byteLength} bytes, expected ${this.#bytesWritten}`);
      }
      const buffer = new Uint8Array(VERIFY_BYTES);
      const breather = new Breather();
      let checksum = 0;
      for (let offset = 0; offset < reader.byteLength;) {
        await breather.breathe();
        const count = await reader.read(offset, buffer);
        if (count === 0) throw this.#differs(`ends at byte ${offset}, expected ${reader.byteLength}`);
        checksum = crc32(buffer.subarray(0, count), checksum);
        offset += count;
      }
      if (checksum !== this.#checksum) {
        throw this.#differs(`has checksum ${hexOf(checksum)}, expected ${hexOf(this.#checksum)}`);
      }
    } finally {
      await reader.close();
    }
  }

  #differs(found: string): CairnError {
    const path = this.#storage.describe(this.path);
    const message =
      `Cannot commit "${path}": what was read back ${found}; the disk or the memory is faulty, save elsewhere`;
    return new CairnError("commit_failed", message, { details: { op: "verify", path } });
  }

  #failed(found: string, op: string): CairnError {
    const path = this.#storage.describe(this.path);
    return new CairnError("storage_failed", `Cannot ${op} "${path}": ${found}; check the disk`, {
      details: { op, path },
    });
  }
}

async function refuseExisting(storage: Storage, path: string): Promise<void> {
  const name = nameOf(path);
  if (!(await namesIn(storage, directoryOf(path))).includes(name)) return;
  const full = storage.describe(path);
  throw new CairnError(
    "already_exists",
    `Cannot create "${full}": it exists already; pass overwrite to replace it`,
    {
      details: { op: "create", path: full },
    },
  );
}
