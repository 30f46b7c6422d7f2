import { checkOptions } from "../../base/options/options.ts";
import { TEMPORARY_PREFIX } from "../../storage/durable_file.ts";
import { namesIn } from "../../storage/names_in.ts";
import { openStorage } from "../../storage/open_storage.ts";
import type { Storage } from "../../storage/storage.ts";
import { Checkpoint } from "../file/checkpoint.ts";
import type { CheckpointFolder } from "./checkpoint_folder.ts";
import type { CommitInfo } from "./commit_info.ts";
import { DirectoryLocks } from "./lock/directory_locks.ts";
import { type EngineLoadOptions, REMOVE_OPTIONS, type RemoveOptions, type SaveOptions } from "./engine.ts";
import { EnginePaths } from "./engine_paths.ts";
import { evictOldest } from "./evict_oldest.ts";
import {
  checkFileEngineOptions,
  FILE_SAVE_OPTIONS,
  type FileEngineOptions,
  type FileSaveOptions,
} from "./file_engine_options.ts";
import { FileMaker } from "./file_maker.ts";
import { FileWriter } from "./file_writer.ts";
import type { FrozenCheckpoint } from "../capture/frozen_checkpoint.ts";
import { KnownCheckpoints } from "./known_checkpoints.ts";
import type { PartPlan } from "../file/parts/components.ts";
import { partsAt, removeUnnamedParts } from "./part_sweep.ts";
import type { WrittenPart } from "../file/parts/write_part.ts";
import { SessionEngine, type Writing } from "./session_engine.ts";
import { removeDurably } from "../file/remove_durably.ts";
import { checkRunId } from "../file/run_id.ts";
import type { Catalog } from "./summary.ts";
import { checkTag, tagOfFileName } from "../file/tags.ts";

export type { FileEngineOptions, FileSaveOptions } from "./file_engine_options.ts";

/**
 * Checkpoints as files `<tag>.cairn` in one directory of a storage, each written by the durable protocol of
 * `DurableFile`: it is there completely or not at all. With the option `components` that file is an index, whose
 * parts lie in the directory `parts`.
 *
 * Temporary files are called `.tmp-<run id>-<random>`. What a killed process left is removed by the next `create` of
 * the same run, and by any run after a day without a write.
 */
export class FileEngine extends SessionEngine<FileSaveOptions> {
  readonly name = "file";
  /** Where the files are. */
  readonly storage: Storage;
  /** Path of the checkpoints in that storage; `""` is its root. */
  readonly directory: string;
  readonly folders: readonly CheckpointFolder[];
  readonly #files: FileMaker;
  readonly #paths: EnginePaths;
  readonly #locks: DirectoryLocks;
  readonly #writer: FileWriter;
  #resumedFrom: string | undefined;

  private constructor(storage: Storage, options: FileEngineOptions) {
    super(FILE_SAVE_OPTIONS);
    this.storage = storage;
    this.directory = options.directory ?? "";
    this.folders = [{ storage, directory: this.directory }];
    this.#files = new FileMaker(options);
    this.#paths = new EnginePaths(storage, this.directory);
    this.#locks = new DirectoryLocks(storage, this.#files, options.exclusive);
    this.#writer = new FileWriter({
      storage,
      engine: options,
      files: this.#files,
      paths: this.#paths,
      locks: this.#locks,
      evict: (beingSaved) => evictOldest(this, { beingSaved, mayEvict: options.mayEvict }),
    });
  }

  /**
   * An engine for a directory of the file system, `memory:name`, or any storage. Nothing is created before the first
   * save.
   *
   * @throws TypeError for an empty path or a component that cannot have a file; CairnError `storage_failed` when it
   * is no directory.
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

  /**
   * Writes one rank's part of a checkpoint that another process commits, the first rank of the run `runId`. The part
   * is durable when this resolves, and belongs to nothing until an index names it. Only the first rank deletes
   * checkpoints to free space.
   *
   * @throws CairnError `locked` when this engine is to be exclusive and that run has not locked the directory;
   * `disk_full`.
   *
   * @internal
   */
  async savePart(
    info: CommitInfo,
    frozen: FrozenCheckpoint,
    plan: PartPlan,
    options: SaveOptions & { readonly runId: string },
  ): Promise<WrittenPart> {
    return await this.alone("save", () => this.#writer.writePart(info, frozen, plan, options));
  }

  async list(): Promise<string[]> {
    return (await namesIn(this.storage, this.directory)).flatMap((name) => tagOfFileName(name) ?? []);
  }

  async remove(tag: string, options: RemoveOptions = {}): Promise<void> {
    checkOptions("remove()", options, REMOVE_OPTIONS);
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

  async catalog(options: EngineLoadOptions = {}): Promise<Catalog> {
    return await KnownCheckpoints.in(this.storage, this.directory).lookNow((tag) => this.load(tag, options));
  }

  knownCatalog(): Catalog | undefined {
    return KnownCheckpoints.in(this.storage, this.directory).catalogBefore();
  }

  get location(): string {
    return this.#paths.location;
  }

  pathOf(tag: string): string {
    return this.storage.describe(this.#paths.fileOfTag(tag));
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

  readsStateOnce(): boolean {
    return true;
  }

  override async cleanup(): Promise<void> {
    await super.cleanup();
    await this.#locks.release();
  }

  protected begin(info: CommitInfo, overwrite: boolean): Promise<Writing<FileSaveOptions>> {
    return this.#writer.begin(info, overwrite);
  }

  protected pathsTo(info: CommitInfo): readonly string[] {
    const file = this.#paths.fileOf(info);
    return [file, this.storage.describe(file)];
  }

  protected open(tag: string, signal: AbortSignal | undefined): Promise<Checkpoint> {
    return Checkpoint.open(this.storage, this.#paths.fileOfTag(tag), tag, signal);
  }
}
