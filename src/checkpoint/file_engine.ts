import { CairnError } from "../base/errors.ts";
import type { WriteReport } from "../container/container_writer.ts";
import { TEMPORARY_PREFIX } from "../storage/durable_file.ts";
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
import { FileMaker } from "./file_maker.ts";
import type { FileEngineOptions, FileSaveOptions } from "./file_engine_options.ts";
import { type CheckpointState, FrozenCheckpoint } from "./frozen_checkpoint.ts";
import { writeLatestHint } from "./latest_hint.ts";
import { removeLeftovers } from "./leftovers.ts";
import { checkComponents, type PartPlan, planComponents } from "./parts/components.ts";
import { partsAt, removeDeadParts, removeUnnamedParts } from "./parts/part_sweep.ts";
import { StagedCheckpoint } from "./parts/staged_checkpoint.ts";
import { writePart, type WrittenPart } from "./parts/write_part.ts";
import { removeDurably } from "./remove_durably.ts";
import { checkRunId } from "./run_id.ts";
import { checkTag, fileNameOf, tagOfFileName } from "./tags.ts";
import { nextTurn } from "../base/event_loop.ts";

export type { FileEngineOptions, FileSaveOptions } from "./file_engine_options.ts";

interface Pending {
  readonly info: CommitInfo;
  readonly overwrite: boolean;
  saved?: { readonly staged: StagedCheckpoint; readonly frozen: FrozenCheckpoint };
}

const DEFAULT_VERIFY_EVERY = 10;

/**
 * Checkpoints as files `<tag>.cairn` in one directory of a storage, each written by the durable protocol of `DurableFile`: it is
 * there completely or not at all. With the option `components` that file is an index, whose parts lie in the directory `parts`.
 *
 * Temporary files are called `.tmp-<run id>-<random>`. What a killed process left is removed by the next `create` of the same
 * run, and by any run after a day without a write.
 */
export class FileEngine implements Engine {
  readonly name = "file";
  readonly storage: Storage;
  readonly directory: string;
  readonly #options: FileEngineOptions;
  readonly #files: FileMaker;
  /** Checkpoints that were published, but whose directory could not be synced: saving them again is no overwrite. */
  readonly #unconfirmed = new Set<string>();
  readonly #locks: DirectoryLocks;
  #resumedFrom: string | undefined;
  #pending: Pending | undefined;
  #isBusy = false;
  #commits = 0;

  private constructor(storage: Storage, options: FileEngineOptions) {
    this.storage = storage;
    this.directory = options.directory ?? "";
    this.#options = options;
    this.#files = new FileMaker(options);
    this.#locks = new DirectoryLocks(storage);
  }

  /**
   * An engine for a directory of the file system, `memory:name`, or any storage. Nothing is created before the first save.
   *
   * @throws TypeError for an empty path or a component that cannot have a file; CairnError `storage_failed` when it is no directory.
   */
  static async open(target: string | URL | Storage, options: FileEngineOptions = {}): Promise<FileEngine> {
    checkDirectoryPath(options.directory ?? "");
    if (options.runId !== undefined) checkRunId(options.runId);
    checkComponents(options.components ?? false);
    const isPath = typeof target === "string" || target instanceof URL;
    return new FileEngine(isPath ? await openStorage(target, options.storages) : target, options);
  }

  get runId(): string {
    return this.#files.runId;
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
      const directory = this.directoryOf(info);
      await this.storage.makeDirectory(directory);
      await this.#lock(directory);
      const owner = { runId: this.#files.runId, nowMs: this.#files.now(), inUse: this.#files.inUse };
      await removeLeftovers(this.storage, directory, owner);
      await removeDeadParts(this.storage, directory, owner);
      const isRetry = this.#unconfirmed.has(this.#fileOf(info));
      const overwrite = (options.overwrite ?? false) || isRetry;
      await refuseTwins(this.storage, directory, info.tag, overwrite);
      this.#pending = { info, overwrite };
    });
  }

  async save(
    state: CheckpointState | FrozenCheckpoint,
    path?: string,
    options: FileSaveOptions = {},
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
        // Whoever has set the commit info, in the place of create, has not asked for it yet.
        await this.#lock(this.directoryOf(pending.info));
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
      const isVerified = options.verify ?? this.#isTimeToVerify;
      try {
        // A device that is going down says so a turn later than its last answer.
        await nextTurn();
        saved.frozen.assertAlive();
        await this.#locks.assertHeld(this.directoryOf(info));
        const { signal } = options;
        await saved.staged.commit({ verify: isVerified, ...signal === undefined ? {} : { signal } });
      } catch (error) {
        await this.#drop(pending);
        if (saved.staged.isPublished) this.#unconfirmed.add(this.#fileOf(info));
        throw error;
      }
      this.#forget(pending);
      this.#unconfirmed.delete(this.#fileOf(info));
      this.#commits++;
      const warnings = await this.#updateHint(info);
      const path = this.storage.describe(this.#fileOf(info));
      return { info, tag: info.tag, path, written: saved.staged.written, isVerified, warnings };
    });
  }

  /**
   * Writes one rank's part of a checkpoint that another process commits. It is durable when this resolves, and belongs to nothing until
   * an index names it.
   */
  async savePart(
    info: CommitInfo,
    frozen: FrozenCheckpoint,
    plan: PartPlan,
    options: SaveOptions & { readonly runId: string },
  ): Promise<WrittenPart> {
    const { runId, ...saving } = options;
    return await this.#exclusively("save", async () => {
      const part = await writePart(this.storage, this.directoryOf(info), frozen, plan, {
        ...this.#files.coding,
        ...saving,
        newFiles: this.#files,
        provenance: { ...this.#files.provenanceOf(info.tag), runId },
        verify: this.#isTimeToVerify,
      });
      this.#commits++;
      return part;
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
    const randomName = this.#files.randomName();
    this.#files.inUse.add(TEMPORARY_PREFIX + randomName);
    try {
      const path = joinPath(this.directory, fileNameOf(checkTag(tag)));
      const parts = await partsAt(this.storage, path);
      const isGone = await removeDurably(this.storage, path, { ...options, randomName });
      if (isGone) await removeUnnamedParts(this.storage, this.directory, parts);
    } finally {
      this.#files.inUse.delete(TEMPORARY_PREFIX + randomName);
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
    this.#files.runId = runId;
    this.#resumedFrom = checkTag(tag);
  }

  async makedirs(path: string, options: { readonly existOk?: boolean } = {}): Promise<void> {
    const directory = path === "" ? this.directory : joinPath(this.directory, path);
    await makeNewDirectory(this.storage, directory, options.existOk ?? false);
  }

  isDecoupled(): boolean {
    return false;
  }

  readsStateOnce(): boolean {
    return true;
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
    await this.storage.makeDirectory(directory);
    await this.#locks.hold(directory, {
      ...exclusive === true ? {} : exclusive,
      runId: this.#files.runId,
      now: this.#files.now,
      random: () => this.#files.randomHex(8),
    });
  }

  async #requireRoom(
    { info }: Pending,
    frozen: FrozenCheckpoint,
    { signal }: SaveOptions,
  ): Promise<void> {
    await requireRoom(this.storage, this.directoryOf(info), {
      ...this.#options,
      tag: info.tag,
      neededBytes: roomFor(frozen, this.#options.chunkBytes),
      signal,
      evict: () => evictOldest(this, { beingSaved: info.tag, mayEvict: this.#options.mayEvict }),
    });
  }

  async #write(pending: Pending, frozen: FrozenCheckpoint, options: FileSaveOptions): Promise<WriteReport> {
    const { info, overwrite } = pending;
    const { ranks, ...saving } = options;
    const staged = await StagedCheckpoint.write(this.storage, this.#fileOf(info), frozen, {
      ...this.#files.coding,
      ...saving,
      newFiles: this.#files,
      ...ranks === undefined ? {} : { completeParts: ranks.completeParts, verifyParts: this.#isTimeToVerify },
      overwrite,
      parts: ranks === undefined
        ? planComponents(frozen.tensors, this.#options.components ?? false)
        : [ranks.part],
      provenance: this.#files.provenanceOf(info.tag),
    });
    pending.saved = { staged, frozen };
    return staged.written;
  }

  get #isTimeToVerify(): boolean {
    const every = this.#options.verifyEvery ?? DEFAULT_VERIFY_EVERY;
    return every > 0 && this.#commits % every === 0;
  }

  async #updateHint(info: CommitInfo): Promise<CairnError[]> {
    if (!info.saveLatest) return [];
    try {
      const randomName = this.#files.randomName();
      await writeLatestHint(this.storage, this.directoryOf(info), info.tag, randomName);
      return [];
    } catch (error) {
      if (error instanceof CairnError) return [error];
      throw error;
    }
  }

  async #drop(pending: Pending): Promise<void> {
    this.#forget(pending);
    await pending.saved?.staged.abort();
  }

  #forget(pending: Pending): void {
    if (this.#pending === pending) this.#pending = undefined;
    pending.saved?.frozen.release();
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

  /** The directory inside the storage that a checkpoint is made in. */
  directoryOf(info: CommitInfo): string {
    return info.saveDir === "" ? this.directory : info.saveDir;
  }

  #fileOf(info: CommitInfo): string {
    return joinPath(this.directoryOf(info), fileNameOf(info.tag));
  }
}

function commitFailed(info: CommitInfo, why: string): CairnError {
  return new CairnError("commit_failed", `Cannot commit ${info}: ${why}`, {
    details: { op: "commit", tag: info.tag },
  });
}
