import { checkOptions } from "../../base/options.ts";
import { CairnError } from "../../base/errors.ts";
import { nextTurn } from "../../base/event_loop.ts";
import type { WriteReport } from "../../container/write/container_writer.ts";
import type { TensorSpec } from "../../container/format/layout.ts";
import { TEMPORARY_PREFIX } from "../../storage/durable_file.ts";
import { namesIn } from "../../storage/names_in.ts";
import { openStorage } from "../../storage/open_storage.ts";
import type { Storage } from "../../storage/storage.ts";
import { checkDirectoryPath, joinPath } from "../../storage/storage_path.ts";
import { Checkpoint } from "../file/checkpoint.ts";
import { commitFailed, notCommitted } from "./commit_failed.ts";
import { CommitInfo } from "./commit_info.ts";
import { makeNewDirectory, refuseTwins } from "./directory_check.ts";
import { DirectoryLocks } from "./lock/directory_locks.ts";
import { requireRoom, roomFor } from "./disk_space.ts";
import {
  type CommitReport,
  type CommitTarget,
  type CreateOptions,
  type Engine,
  ENGINE_OPTIONS,
  type EngineCommitOptions,
  type EngineLoadOptions,
  type MakeDirsOptions,
  type RemoveOptions,
  type SaveOptions,
} from "./engine.ts";
import { EnginePaths } from "./engine_paths.ts";
import { evictOldest } from "./evict_oldest.ts";
import {
  checkFileEngineOptions,
  FILE_SAVE_OPTIONS,
  type FileEngineOptions,
  type FileSaveOptions,
} from "./file_engine_options.ts";
import { FileMaker } from "./file_maker.ts";
import { type CheckpointState, FrozenCheckpoint } from "../capture/frozen_checkpoint.ts";
import { KnownCheckpoints } from "./known_checkpoints.ts";
import { moveLatestHint } from "./latest_hint.ts";
import { removeLeftovers } from "../file/leftovers.ts";
import { OneAtATime } from "./one_at_a_time.ts";
import { type PartPlan, planComponents, tensorsOfPart } from "../file/parts/components.ts";
import { PARTS_DIRECTORY } from "../file/parts/part_files.ts";
import { partsAt, removeDeadParts, removeUnnamedParts } from "./part_sweep.ts";
import { StagedCheckpoint } from "./staged_checkpoint.ts";
import { writePart, type WrittenPart } from "../file/parts/write_part.ts";
import type { PendingSave } from "./pending_save.ts";
import { removeDurably } from "../file/remove_durably.ts";
import { checkRunId } from "../file/run_id.ts";
import { type Catalog, summaryOf } from "./summary.ts";
import { tagOfStep } from "./step_tag.ts";
import { checkTag, tagOfFileName } from "../file/tags.ts";

export type { FileEngineOptions, FileSaveOptions } from "./file_engine_options.ts";

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
  readonly #paths: EnginePaths;
  /** Checkpoints that were published, but whose directory could not be synced: saving them again is no overwrite. */
  readonly #unconfirmed = new Set<string>();
  readonly #locks: DirectoryLocks;
  readonly #calls = new OneAtATime();
  #resumedFrom: string | undefined;
  #pending: PendingSave | undefined;
  #commits = 0;

  private constructor(storage: Storage, options: FileEngineOptions) {
    this.storage = storage;
    this.directory = options.directory ?? "";
    this.#options = options;
    this.#files = new FileMaker(options);
    this.#paths = new EnginePaths(storage, this.directory);
    this.#locks = new DirectoryLocks(storage, this.#files, options.exclusive);
  }

  /**
   * An engine for a directory of the file system, `memory:name`, or any storage. Nothing is created before the first save.
   *
   * @throws TypeError for an empty path or a component that cannot have a file; CairnError `storage_failed` when it is no directory.
   */
  static async open(target: string | URL | Storage, options: FileEngineOptions = {}): Promise<FileEngine> {
    checkFileEngineOptions(options);
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
    checkOptions("create()", options, ENGINE_OPTIONS.create);
    const info = CommitInfo.of(target);
    checkDirectoryPath(info.saveDir);
    if (this.#pending?.saved !== undefined) {
      throw commitFailed(info, notCommitted(this.#pending.info));
    }
    await this.#calls.run("create", async () => {
      this.#pending = undefined;
      const directory = this.directoryOf(info);
      await this.storage.makeDirectory(directory);
      await this.#locks.hold(directory);
      const { runId, inUse, now } = this.#files;
      const owner = { runId, nowMs: now(), inUse };
      const names = await namesIn(this.storage, directory);
      await removeLeftovers(this.storage, directory, owner, names);
      await KnownCheckpoints.in(this.storage, directory).see(names);
      if (names.includes(PARTS_DIRECTORY)) await removeDeadParts(this.storage, directory, owner, true);
      const isRetry = this.#unconfirmed.has(this.#paths.fileOf(info));
      const overwrite = (options.overwrite ?? false) || isRetry;
      refuseTwins(this.storage, directory, { names, tag: info.tag, overwrite });
      this.#pending = { info, overwrite, hasLooked: true };
    });
  }

  async save(
    state: CheckpointState | FrozenCheckpoint,
    path?: string,
    options: FileSaveOptions = {},
  ): Promise<WriteReport> {
    checkOptions("save()", options, FILE_SAVE_OPTIONS);
    const pending = this.#pending;
    if (pending === undefined || pending.saved !== undefined) {
      throw new CairnError("commit_failed", "Cannot save: call create() with the checkpoint's tag first", {
        details: { op: "save" },
      });
    }
    if (path !== undefined) this.#paths.requireFileOf(pending.info, path);
    this.#calls.requireIdle("save");
    // In this very tick, as a caller that passes live state expects.
    const frozen = state instanceof FrozenCheckpoint ? state : FrozenCheckpoint.of(state);
    try {
      return await this.#calls.run("save", async () => {
        // Whoever has set the commit info, in the place of create, has not asked for it yet.
        await this.#locks.hold(this.directoryOf(pending.info));
        await this.#requireRoom(pending.info, options.ranks?.files ?? [frozen.tensors], options);
        await options.ranks?.begin();
        return await this.#write(pending, frozen, options);
      });
    } catch (error) {
      this.#pending = undefined;
      if (frozen !== state) frozen.release();
      throw error;
    }
  }

  async commit(target: CommitTarget, options: EngineCommitOptions = {}): Promise<CommitReport> {
    checkOptions("commit()", options, ENGINE_OPTIONS.commit);
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
    return await this.#calls.run("commit", async () => {
      const isVerified = options.verify ?? this.#isTimeToVerify;
      const known = KnownCheckpoints.in(this.storage, this.directoryOf(info));
      known.forget(info.tag);
      try {
        // A device that is going down says so a turn later than its last answer.
        await nextTurn();
        saved.frozen.assertAlive();
        await this.#locks.assertHeld(this.directoryOf(info));
        const { signal } = options;
        await saved.staged.commit({ verify: isVerified, ...signal === undefined ? {} : { signal } });
      } catch (error) {
        await this.#drop(pending);
        if (saved.staged.isPublished) this.#unconfirmed.add(this.#paths.fileOf(info));
        throw error;
      }
      this.#forget(pending);
      this.#unconfirmed.delete(this.#paths.fileOf(info));
      this.#commits++;
      const path = this.storage.describe(this.#paths.fileOf(info));
      const { frozen: { manifest: { metrics } }, provenance, staged: { written } } = saved;
      known.committed(summaryOf({ tag: info.tag, path, metrics, provenance, reader: written }));
      const warnings = info.saveLatest
        ? await moveLatestHint(this.storage, this.directoryOf(info), info.tag, this.#files.randomName())
        : [];
      return { info, tag: info.tag, path, written, isVerified, warnings };
    });
  }

  /**
   * Writes one rank's part of a checkpoint that another process commits, the first rank of the run `runId`. The part is durable when this
   * resolves, and belongs to nothing until an index names it. To make room is left to the first rank, which deletes checkpoints of its run.
   *
   * @throws CairnError `locked` when this engine is to be exclusive and that run has not locked the directory; `disk_full`.
   */
  async savePart(
    info: CommitInfo,
    frozen: FrozenCheckpoint,
    plan: PartPlan,
    options: SaveOptions & { readonly runId: string },
  ): Promise<WrittenPart> {
    const { runId, ...saving } = options;
    return await this.#calls.run("save", async () => {
      const directory = this.directoryOf(info);
      await this.#locks.requireHeldBy(runId, directory);
      const nothing = (): Promise<undefined> => Promise.resolve(undefined);
      await this.#requireRoom(info, [tensorsOfPart(frozen.tensors, plan)], saving, nothing);
      const part = await writePart(this.storage, directory, frozen, plan, {
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

  async load(tagOrPath: string | number, options: EngineLoadOptions = {}): Promise<Checkpoint> {
    checkOptions("load()", options, ENGINE_OPTIONS.load);
    const tag = typeof tagOrPath === "number"
      ? await tagOfStep(this, tagOrPath, options)
      : this.tagOf(tagOrPath);
    return await Checkpoint.open(this.storage, this.#paths.fileOfTag(tag), tag, options.signal);
  }

  async list(): Promise<string[]> {
    return (await namesIn(this.storage, this.directory)).flatMap((name) => tagOfFileName(name) ?? []);
  }

  async remove(tag: string, options: RemoveOptions = {}): Promise<void> {
    checkOptions("remove()", options, ENGINE_OPTIONS.remove);
    const randomName = this.#files.randomName();
    this.#files.inUse.add(TEMPORARY_PREFIX + randomName);
    KnownCheckpoints.in(this.storage, this.directory).forget(tag);
    try {
      const path = this.#paths.fileOfTag(tag);
      const parts = await partsAt(this.storage, path);
      const isGone = await removeDurably(this.storage, path, { ...options, randomName });
      if (isGone) await removeUnnamedParts(this.storage, this.directory, parts);
    } finally {
      this.#files.inUse.delete(TEMPORARY_PREFIX + randomName);
    }
  }

  async catalog(options: { readonly signal?: AbortSignal } = {}): Promise<Catalog> {
    return await KnownCheckpoints.in(this.storage, this.directory).lookNow((tag) => this.load(tag, options));
  }

  knownCatalog(): Catalog | undefined {
    return KnownCheckpoints.in(this.storage, this.directory).catalogBefore();
  }

  pathOf(tag: string): string {
    return this.storage.describe(this.#paths.fileOfTag(tag));
  }

  /**
   * The tag that is meant by a tag, a step, a file name, or a full path inside this engine's directory.
   *
   * @throws CairnError `invalid_tag` for anything else.
   */
  tagOf(tagOrPath: string | number): string {
    return this.#paths.tagOf(tagOrPath);
  }

  /** The directory inside the storage that a checkpoint is made in. */
  directoryOf(info: CommitInfo): string {
    return this.#paths.directoryOf(info);
  }

  continueRun(runId: string, tag: string): void {
    checkRunId(runId);
    this.#files.runId = runId;
    this.#resumedFrom = checkTag(tag);
  }

  async makedirs(path: string, options: MakeDirsOptions = {}): Promise<void> {
    checkOptions("makedirs()", options, ENGINE_OPTIONS.makedirs);
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
      throw commitFailed(info ?? this.#pending.info, notCommitted(this.#pending.info));
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

  /** Looks for room for all files of a checkpoint, each given by its tensors. */
  async #requireRoom(
    info: CommitInfo,
    files: readonly (readonly TensorSpec[])[],
    { signal }: SaveOptions,
    evict: () => Promise<string | undefined> = () =>
      evictOldest(this, { beingSaved: info.tag, mayEvict: this.#options.mayEvict }),
  ): Promise<void> {
    const { chunkBytes } = this.#options;
    await requireRoom(this.storage, this.directoryOf(info), {
      ...this.#options,
      tag: info.tag,
      neededBytes: files.reduce((sum, tensors) => sum + roomFor(tensors, chunkBytes), 0),
      signal,
      evict,
    });
  }

  async #write(
    pending: PendingSave,
    frozen: FrozenCheckpoint,
    options: FileSaveOptions,
  ): Promise<WriteReport> {
    const { info, overwrite } = pending;
    const { ranks, ...saving } = options;
    const directory = this.directoryOf(info);
    const known = KnownCheckpoints.in(this.storage, directory);
    if (!pending.hasLooked) await known.see(await namesIn(this.storage, directory));
    const provenance = this.#files.provenanceIn(known, info.tag, frozen.manifest.provenance, options.savedBy);
    const staged = await StagedCheckpoint.write(this.storage, this.#paths.fileOf(info), frozen, {
      ...this.#files.coding,
      ...saving,
      newFiles: this.#files,
      ...ranks === undefined ? {} : { completeParts: ranks.completeParts, verifyParts: this.#isTimeToVerify },
      overwrite,
      isNameFree: pending.hasLooked === true,
      parts: ranks === undefined
        ? planComponents(frozen.tensors, this.#options.components ?? false)
        : [ranks.part],
      provenance,
    });
    pending.saved = { staged, frozen, provenance };
    return staged.written;
  }

  get #isTimeToVerify(): boolean {
    const every = this.#options.verifyEvery ?? DEFAULT_VERIFY_EVERY;
    return every > 0 && this.#commits % every === 0;
  }

  async #drop(pending: PendingSave): Promise<void> {
    this.#forget(pending);
    await pending.saved?.staged.abort();
  }

  #forget(pending: PendingSave): void {
    if (this.#pending === pending) this.#pending = undefined;
    pending.saved?.frozen.release();
  }
}
