import { workOf } from "../../base/work.ts";
import { nextTurn } from "../../base/event_loop.ts";
import type { Provenance } from "../../container/format/manifest.ts";
import type { TensorSpec } from "../../container/format/layout.ts";
import { namesIn } from "../../storage/names_in.ts";
import type { Storage } from "../../storage/storage.ts";
import type { FrozenCheckpoint } from "../capture/frozen_checkpoint.ts";
import { removeLeftovers } from "../file/leftovers.ts";
import { type PartPlan, planComponents, tensorsOfPart } from "../file/parts/components.ts";
import { PARTS_DIRECTORY } from "../file/parts/part_files.ts";
import { writePart, type WrittenPart } from "../file/parts/write_part.ts";
import { commitFailed } from "./commit_failed.ts";
import type { CommitInfo } from "./commit_info.ts";
import { refuseTwins } from "./directory_check.ts";
import { requireSpace, spaceFor } from "./disk_space.ts";
import type { CommitReport, EngineCommitOptions, SaveOptions } from "./engine.ts";
import type { EnginePaths } from "./engine_paths.ts";
import type { FileEngineOptions, FileSaveOptions } from "./file_engine_options.ts";
import type { FileMaker } from "./file_maker.ts";
import { KnownCheckpoints } from "./known_checkpoints.ts";
import { moveLatestHint } from "./latest_hint.ts";
import type { DirectoryLocks } from "./lock/directory_locks.ts";
import { removeDeadParts } from "./part_sweep.ts";
import type { Writing } from "./session_engine.ts";
import { PreparedCheckpoint } from "./prepared_checkpoint.ts";
import { summaryOf } from "./summary.ts";

const DEFAULT_VERIFY_EVERY = 10;

/** Where and with what a {@link FileWriter} works. */
export interface FileWriterTools {
  readonly storage: Storage;
  readonly engine: FileEngineOptions;
  readonly files: FileMaker;
  readonly paths: EnginePaths;
  readonly locks: DirectoryLocks;
  /** Deletes a checkpoint to free space for this tag, and gives its tag; `undefined` when none may go. */
  readonly evict: (tag: string) => Promise<string | undefined>;
}

/** A checkpoint that has all its bytes and no name yet. */
interface Saved {
  readonly prepared: PreparedCheckpoint;
  readonly frozen: FrozenCheckpoint;
  readonly provenance: Provenance;
}

/** Writes checkpoints as files into directories of a storage: what `FileEngine` does between the calls. */
export class FileWriter {
  readonly #options: FileWriterTools;
  readonly #storage: Storage;
  readonly #files: FileMaker;
  readonly #paths: EnginePaths;
  readonly #locks: DirectoryLocks;
  /** Checkpoints that were published, but whose directory could not be synced: saving them again is no overwrite. */
  readonly #unconfirmed = new Set<string>();
  #commits = 0;

  constructor(options: FileWriterTools) {
    this.#options = options;
    this.#storage = options.storage;
    this.#files = options.files;
    this.#paths = options.paths;
    this.#locks = options.locks;
  }

  /** See `SessionEngine.begin`. */
  async begin(info: CommitInfo, overwrite: boolean): Promise<Writing<FileSaveOptions>> {
    const directory = this.#paths.directoryOf(info);
    await this.#storage.makeDirectory(directory);
    await this.#locks.hold(directory);
    const { runId, inUse, now } = this.#files;
    const owner = { runId, nowMs: now(), inUse };
    const names = await namesIn(this.#storage, directory);
    await removeLeftovers(this.#storage, directory, owner, names);
    await KnownCheckpoints.in(this.#storage, directory).see(names);
    if (names.includes(PARTS_DIRECTORY)) await removeDeadParts(this.#storage, directory, owner, true);
    const mayReplace = overwrite || this.#unconfirmed.has(this.#paths.fileOf(info));
    refuseTwins(this.#storage, directory, { names, tag: info.tag, overwrite: mayReplace });
    return this.#writing(info, mayReplace);
  }

  /** See `FileEngine.savePart`. */
  async writePart(
    info: CommitInfo,
    frozen: FrozenCheckpoint,
    plan: PartPlan,
    options: SaveOptions & { readonly runId: string },
  ): Promise<WrittenPart> {
    const { runId } = options;
    const directory = this.#paths.directoryOf(info);
    await this.#locks.requireHeldBy(runId, directory);
    const nothing = (): Promise<undefined> => Promise.resolve(undefined);
    await this.#requireSpace(info, [tensorsOfPart(frozen.tensors, plan)], options, nothing);
    const part = await writePart(this.#storage, directory, frozen, plan, {
      ...workOf(options),
      newFiles: this.#files,
      provenance: { ...this.#files.provenanceOf(info.tag), runId },
      verify: this.#isTimeToVerify,
    });
    this.#commits++;
    return part;
  }

  #writing(info: CommitInfo, overwrite: boolean): Writing<FileSaveOptions> {
    let saved: Saved | undefined;
    return {
      write: async (frozen, options) => {
        await this.#requireSpace(info, options.ranks?.files ?? [frozen.tensors], options);
        await options.ranks?.begin();
        saved = await this.#write(info, overwrite, frozen, options);
        return saved.prepared.written;
      },
      commit: async (options) => {
        if (saved === undefined) throw commitFailed(info, "nothing was saved");
        return await this.#commit(info, saved, options);
      },
      abort: async () => await saved?.prepared.abort(),
    };
  }

  async #write(
    info: CommitInfo,
    overwrite: boolean,
    frozen: FrozenCheckpoint,
    options: FileSaveOptions,
  ): Promise<Saved> {
    const { ranks } = options;
    const directory = this.#paths.directoryOf(info);
    const known = KnownCheckpoints.in(this.#storage, directory);
    const provenance = this.#files.provenanceIn(known, info.tag, frozen.manifest.provenance, options.savedBy);
    const { components = false } = this.#options.engine;
    const prepared = await PreparedCheckpoint.write(this.#storage, this.#paths.fileOf(info), frozen, {
      ...workOf(options),
      newFiles: this.#files,
      completeParts: ranks?.completeParts,
      verifyParts: this.#isTimeToVerify,
      overwrite,
      isNameFree: true,
      parts: ranks === undefined ? planComponents(frozen.tensors, components) : [ranks.part],
      provenance,
    });
    return { prepared, frozen, provenance };
  }

  async #commit(info: CommitInfo, saved: Saved, options: EngineCommitOptions): Promise<CommitReport> {
    const { prepared, frozen, provenance } = saved;
    const { tag } = info;
    const directory = this.#paths.directoryOf(info);
    const file = this.#paths.fileOf(info);
    const isVerified = options.verify ?? this.#isTimeToVerify;
    const known = KnownCheckpoints.in(this.#storage, directory);
    known.forget(tag);
    try {
      // A device that is about to be lost says so one turn after its last answer.
      await nextTurn();
      frozen.assertAlive();
      await this.#locks.assertHeld(directory);
      await prepared.commit({ verify: isVerified, signal: options.signal });
    } catch (error) {
      if (prepared.isPublished) this.#unconfirmed.add(file);
      throw error;
    }
    this.#unconfirmed.delete(file);
    this.#commits++;
    const path = this.#storage.describe(file);
    const { written } = prepared;
    known.committed(summaryOf({ tag, path, metrics: frozen.manifest.metrics, provenance, reader: written }));
    const warnings = info.saveLatest
      ? await moveLatestHint(this.#storage, directory, tag, this.#files.randomName())
      : [];
    return { info, tag, path, written, isVerified, warnings };
  }

  /** Waits for space for all files of a checkpoint, each given by its tensors. */
  async #requireSpace(
    info: CommitInfo,
    files: readonly (readonly TensorSpec[])[],
    { signal }: SaveOptions,
    evict: () => Promise<string | undefined> = () => this.#options.evict(info.tag),
  ): Promise<void> {
    const { engine } = this.#options;
    await requireSpace(this.#storage, this.#paths.directoryOf(info), {
      ...engine,
      tag: info.tag,
      neededBytes: files.reduce((sum, tensors) => sum + spaceFor(tensors, engine.chunkBytes), 0),
      signal,
      evict,
    });
  }

  get #isTimeToVerify(): boolean {
    const every = this.#options.engine.verifyEvery ?? DEFAULT_VERIFY_EVERY;
    return every > 0 && this.#commits % every === 0;
  }
}
