import { CairnError } from "../base/errors.ts";
import type { WriteReport } from "../container/container_writer.ts";
import { DurableFile, TEMPORARY_PREFIX } from "../storage/durable_file.ts";
import { openStorage } from "../storage/open_storage.ts";
import type { Storage } from "../storage/storage.ts";
import { checkDirectoryPath, joinPath } from "../storage/storage_path.ts";
import { Checkpoint } from "./checkpoint.ts";
import { CommitInfo } from "./commit_info.ts";
import { makeNewDirectory, refuseTwins } from "./directory_check.ts";
import { DirectoryLocks } from "./directory_locks.ts";
import { requireRoom, roomFor } from "./disk_room.ts";
import type {
  CommitReport,
  CommitTarget,
  CreateOptions,
  Engine,
  EngineCommitOptions,
  RemoveOptions,
  SaveOptions,
} from "./engine.ts";
import { evictOldest } from "./evict_oldest.ts";
import type { FileEngineOptions } from "./file_engine_options.ts";
import { type CheckpointState, FrozenCheckpoint } from "./frozen_checkpoint.ts";
import { writeLatestHint } from "./latest_hint.ts";
import { removeLeftovers, temporaryName } from "./leftovers.ts";
import { removeDurably } from "./remove_durably.ts";
import { checkRunId } from "./run_id.ts";
import { checkTag, fileNameOf, tagOfFileName } from "./tags.ts";
import { nextTurn } from "../base/event_loop.ts";
import { writeCheckpoint } from "./write_checkpoint.ts";

export type { FileEngineOptions } from "./file_engine_options.ts";

interface Pending {
  readonly info: CommitInfo;
  readonly overwrite: boolean;
  saved?: { readonly file: DurableFile; readonly frozen: FrozenCheckpoint; readonly written: WriteReport };
}

const WRITER = "cairn 0.1.0";
const DEFAULT_VERIFY_EVERY = 10;

/**
 * Checkpoints as files `<tag>.cairn` in one directory of a storage, each one file and each written by the durable
 * protocol of `DurableFile`: it is there completely or not at all.
 *
 * Temporary files are called `.tmp-<run id>-<random>`. What a killed process left is removed by the next `create` of the same
 * run, and by any run after a day without a write.
 */
export class FileEngine implements Engine {
  readonly name = "file";
  readonly storage: Storage;
  readonly directory: string;
  readonly #options: FileEngineOptions;
  readonly #now: () => number;
  readonly #random: (byteLength: number) => Uint8Array;
  /** Checkpoints that were published, but whose directory could not be synced: saving them again is no overwrite. */
  readonly #unconfirmed = new Set<string>();
  readonly #inUse = new Set<string>();
  readonly #locks: DirectoryLocks;
  #runId: string;
  #resumedFrom: string | undefined;
  #pending: Pending | undefined;
  #isBusy = false;
  #commits = 0;

  private constructor(storage: Storage, options: FileEngineOptions) {
    this.storage = storage;
    this.directory = options.directory ?? "";
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#random = options.random ?? ((byteLength) => crypto.getRandomValues(new Uint8Array(byteLength)));
    this.#locks = new DirectoryLocks(storage);
    this.#runId = options.runId ?? toHex(this.#random(16));
  }

  /**
   * An engine for a directory of the file system, `memory:name`, or any storage. Nothing is created before the first save.
   *
   * @throws TypeError for an empty path; CairnError `storage_failed` when it is no directory.
   */
  static async open(target: string | URL | Storage, options: FileEngineOptions = {}): Promise<FileEngine> {
    checkDirectoryPath(options.directory ?? "");
    if (options.runId !== undefined) checkRunId(options.runId);
    const isPath = typeof target === "string" || target instanceof URL;
    return new FileEngine(isPath ? await openStorage(target) : target, options);
  }

  get runId(): string {
    return this.#runId;
  }

  get resumedFrom(): string | undefined {
    return this.#resumedFrom;
  }

  async create(target: CommitTarget, options: CreateOptions = {}): Promise<void> {
    const info = CommitInfo.of(target);
    checkDirectoryPath(info.saveDir);
    if (this.#pending?.saved !== undefined) {
      throw commitFailed(
        info,
        `${this.#pending.info} was saved and not committed; commit it or call abort() first`,
      );
    }
    await this.#exclusively("create", async () => {
      this.#pending = undefined;
      const directory = this.#directoryOf(info);
      await this.storage.makeDirectory(directory);
      await this.#lock(directory);
      await removeLeftovers(this.storage, directory, {
        runId: this.#runId,
        nowMs: this.#now(),
        inUse: this.#inUse,
      });
      const isRetry = this.#unconfirmed.has(this.#fileOf(info));
      const overwrite = (options.overwrite ?? false) || isRetry;
      await refuseTwins(this.storage, directory, info.tag, overwrite);
      this.#pending = { info, overwrite };
    });
  }

  async save(
    state: CheckpointState | FrozenCheckpoint,
    path?: string,
    options: SaveOptions = {},
  ): Promise<WriteReport> {
    const pending = this.#pending;
    if (pending === undefined || pending.saved !== undefined) {
      throw new CairnError("commit_failed", "Cannot save: call create() with the checkpoint's tag first", {
        details: { op: "save" },
      });
    }
    if (path !== undefined) this.#checkPath(path, pending.info);
    this.#requireIdle("save");
    // In this very tick, as a caller that passes live state expects.
    const frozen = state instanceof FrozenCheckpoint ? state : FrozenCheckpoint.of(state);
    try {
      return await this.#exclusively("save", async () => {
        await this.#requireRoom(pending, frozen, options);
        return await this.#write(pending, frozen, options);
      });
    } catch (error) {
      this.#pending = undefined;
      if (frozen !== state) frozen.release();
      throw error;
    }
  }

  async commit(target: CommitTarget, options: EngineCommitOptions = {}): Promise<CommitReport> {
    const info = CommitInfo.of(target);
    const pending = this.#pending;
    if (pending === undefined) {
      throw commitFailed(info, "nothing was created; call create() and save() first");
    }
    if (!pending.info.equals(info)) {
      throw commitFailed(info, `${pending.info} was created, with other fields or tag`);
    }
    const { saved } = pending;
    if (saved === undefined) throw commitFailed(info, "nothing was saved; call save() first");
    return await this.#exclusively("commit", async () => {
      const every = this.#options.verifyEvery ?? DEFAULT_VERIFY_EVERY;
      const isVerified = options.verify ?? (every > 0 && this.#commits % every === 0);
      try {
        // A device that is going down says so a turn later than its last answer.
        await nextTurn();
        saved.frozen.assertAlive();
        await this.#locks.assertHeld(this.#directoryOf(info));
        const { signal } = options;
        await saved.file.commit({ verify: isVerified, ...signal === undefined ? {} : { signal } });
      } catch (error) {
        await this.#drop(pending);
        if (saved.file.isPublished) this.#unconfirmed.add(this.#fileOf(info));
        throw error;
      }
      this.#forget(pending);
      this.#unconfirmed.delete(this.#fileOf(info));
      this.#commits++;
      const warnings = await this.#updateHint(info);
      const path = this.storage.describe(this.#fileOf(info));
      return { info, tag: info.tag, path, written: saved.written, isVerified, warnings };
    });
  }

  async abort(): Promise<void> {
    if (this.#pending !== undefined) await this.#drop(this.#pending);
  }

  async load(
    tagOrPath: string | number,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Checkpoint> {
    const tag = this.tagOf(tagOrPath);
    return await Checkpoint.open(
      this.storage,
      joinPath(this.directory, fileNameOf(tag)),
      tag,
      options.signal,
    );
  }

  async list(): Promise<string[]> {
    const entries = await this.storage.list(this.directory);
    return entries.flatMap(({ name }) => tagOfFileName(name) ?? []);
  }

  async remove(tag: string, options: RemoveOptions = {}): Promise<void> {
    const randomName = temporaryName(this.#runId, toHex(this.#random(8)));
    this.#inUse.add(TEMPORARY_PREFIX + randomName);
    try {
      const path = joinPath(this.directory, fileNameOf(checkTag(tag)));
      await removeDurably(this.storage, path, { ...options, randomName });
    } finally {
      this.#inUse.delete(TEMPORARY_PREFIX + randomName);
    }
  }

  pathOf(tag: string): string {
    return this.storage.describe(joinPath(this.directory, fileNameOf(checkTag(tag))));
  }

  /**
   * The tag that is meant by a tag, a step, a file name, or a full path inside this engine's directory.
   *
   * @throws CairnError `invalid_tag` for anything else.
   */
  tagOf(tagOrPath: string | number): string {
    if (typeof tagOrPath === "string") {
      const prefix = this.storage.describe(joinPath(this.directory, "x")).slice(0, -1);
      if (tagOrPath.startsWith(prefix)) return checkTag(tagOrPath.slice(prefix.length));
    }
    return checkTag(tagOrPath);
  }

  continueRun(runId: string, tag: string): void {
    checkRunId(runId);
    this.#runId = runId;
    this.#resumedFrom = checkTag(tag);
  }

  async makedirs(path: string, options: { readonly existOk?: boolean } = {}): Promise<void> {
    const directory = path === "" ? this.directory : joinPath(this.directory, path);
    await makeNewDirectory(this.storage, directory, options.existOk ?? false);
  }

  isDecoupled(): boolean {
    return false;
  }

  isDataParallelWriter(rank: number): boolean {
    return rank === 0;
  }

  preservesStorageSharing(): boolean {
    return true;
  }

  getCommitInfo(): CommitInfo | null {
    return this.#pending?.info ?? null;
  }

  setCommitInfo(info: CommitInfo | null): void {
    if (this.#pending?.saved !== undefined) {
      throw commitFailed(info ?? this.#pending.info, `${this.#pending.info} was saved and not committed`);
    }
    this.#pending = info === null ? undefined : { info: CommitInfo.of(info), overwrite: false };
  }

  async cleanup(): Promise<void> {
    await this.abort().catch(() => {});
    await this.#locks.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cleanup();
  }

  /** The right to write to a directory, where that is asked for. */
  async #lock(directory: string): Promise<void> {
    const { exclusive = false } = this.#options;
    if (exclusive === false) return;
    await this.#locks.hold(directory, {
      ...exclusive === true ? {} : exclusive,
      runId: this.#runId,
      now: this.#now,
      random: () => toHex(this.#random(8)),
    });
  }

  async #requireRoom(
    { info }: Pending,
    frozen: FrozenCheckpoint,
    { signal }: SaveOptions,
  ): Promise<void> {
    await requireRoom(this.storage, this.#directoryOf(info), {
      ...this.#options,
      tag: info.tag,
      neededBytes: roomFor(frozen, this.#options.chunkBytes),
      signal,
      evict: () => evictOldest(this, { beingSaved: info.tag, mayEvict: this.#options.mayEvict }),
    });
  }

  async #write(pending: Pending, frozen: FrozenCheckpoint, options: SaveOptions): Promise<WriteReport> {
    const { overwrite, info } = pending;
    const randomName = temporaryName(this.#runId, toHex(this.#random(8)));
    const file = await DurableFile.create(this.storage, this.#fileOf(info), { overwrite, randomName });
    this.#inUse.add(file.temporaryName);
    try {
      const written = await writeCheckpoint(file, frozen, {
        ...options,
        mode: this.#options.mode,
        codec: this.#options.codec,
        tensorCodecs: this.#options.tensorCodecs,
        pool: this.#options.pool,
        chunkBytes: this.#options.chunkBytes,
        fileId: this.#random(16),
        provenance: {
          writer: WRITER,
          runId: this.#runId,
          tag: info.tag,
          createdAt: new Date(this.#now()).toISOString(),
        },
      });
      pending.saved = { file, frozen, written };
      return written;
    } catch (error) {
      await file.abort().catch(() => {});
      this.#inUse.delete(file.temporaryName);
      throw error;
    }
  }

  async #updateHint(info: CommitInfo): Promise<CairnError[]> {
    if (!info.saveLatest) return [];
    try {
      const randomName = temporaryName(this.#runId, toHex(this.#random(8)));
      await writeLatestHint(this.storage, this.#directoryOf(info), info.tag, randomName);
      return [];
    } catch (error) {
      if (error instanceof CairnError) return [error];
      throw error;
    }
  }

  async #drop(pending: Pending): Promise<void> {
    this.#forget(pending);
    await pending.saved?.file.abort().catch(() => {});
  }

  #forget(pending: Pending): void {
    if (this.#pending === pending) this.#pending = undefined;
    if (pending.saved === undefined) return;
    this.#inUse.delete(pending.saved.file.temporaryName);
    pending.saved.frozen.release();
  }

  async #exclusively<T>(op: string, work: () => Promise<T>): Promise<T> {
    this.#requireIdle(op);
    this.#isBusy = true;
    try {
      return await work();
    } finally {
      this.#isBusy = false;
    }
  }

  #requireIdle(op: string): void {
    if (!this.#isBusy) return;
    const message = `Cannot ${op}: another call of this engine is under way; await that first`;
    throw new CairnError("commit_failed", message, { details: { op } });
  }

  #checkPath(path: string, info: CommitInfo): void {
    const name = fileNameOf(info.tag);
    const allowed = [info.tag, name, this.#fileOf(info), this.storage.describe(this.#fileOf(info))];
    if (allowed.includes(path)) return;
    throw new TypeError(`Cannot save to "${path}": checkpoint ${info} is the one file "${name}"`);
  }

  #directoryOf(info: CommitInfo): string {
    return info.saveDir === "" ? this.directory : info.saveDir;
  }

  #fileOf(info: CommitInfo): string {
    return joinPath(this.#directoryOf(info), fileNameOf(info.tag));
  }
}

function commitFailed(info: CommitInfo, why: string): CairnError {
  return new CairnError("commit_failed", `Cannot commit ${info}: ${why}`, {
    details: { op: "commit", tag: info.tag },
  });
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
