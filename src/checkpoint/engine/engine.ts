import type { Work } from "../../base/work.ts";
import type { OptionNames } from "../../base/options/options.ts";
import type { WriteReport } from "../../container/write/container_writer.ts";
import type { CairnError } from "../../base/errors.ts";
import type { SavedBy } from "../../container/format/manifest.ts";
import type { Checkpoint } from "../file/checkpoint.ts";
import type { CheckpointFolder } from "./checkpoint_folder.ts";
import type { CommitInfo, CommitInfoFields } from "./commit_info.ts";
import type { CheckpointState, FrozenCheckpoint } from "../capture/frozen_checkpoint.ts";
import type { Catalog } from "./summary.ts";

/** Names a checkpoint to be: a tag, a step, or all the fields of a {@link CommitInfo}. */
export type CommitTarget = string | number | CommitInfoFields;

/** Options of {@link Engine.create}. */
export interface CreateOptions {
  /** Replace a checkpoint that already has the tag; otherwise that is `already_exists`. */
  readonly overwrite?: boolean | undefined;
}

/** Every option of {@link CreateOptions}. */
export const CREATE_OPTIONS: OptionNames<CreateOptions> = { overwrite: true };

/** Options of {@link Engine.save}. */
export interface SaveOptions extends Work {
  /**
   * `savedBy`, where the provenance of the state does not say it: with `auto`, retention may delete the checkpoint.
   * Default `auto` for an engine that evicts checkpoints when the disk is full, else `user`.
   */
  readonly savedBy?: SavedBy | undefined;
}

/** Every option of {@link SaveOptions}. */
export const SAVE_OPTIONS: OptionNames<SaveOptions> = { signal: true, onProgress: true, savedBy: true };

/** Options of {@link Engine.commit}. */
export interface EngineCommitOptions {
  /** Has an effect until the checkpoint is published; after that the commit succeeds. */
  readonly signal?: AbortSignal | undefined;
  /** Read the file back before it is published. Unless given, the engine decides. */
  readonly verify?: boolean | undefined;
}

/** Every option of {@link EngineCommitOptions}. */
export const ENGINE_COMMIT_OPTIONS: OptionNames<EngineCommitOptions> = { signal: true, verify: true };

/** Options of {@link Engine.load}. */
export interface EngineLoadOptions {
  /** Stops reading, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Every option of {@link EngineLoadOptions}. */
export const ENGINE_LOAD_OPTIONS: OptionNames<EngineLoadOptions> = { signal: true };

/** Options of {@link Engine.remove}. */
export interface RemoveOptions {
  /**
   * Asked when the checkpoint cannot be opened any more and its bytes are still there: `false` puts it back. So the
   * remover sees a lease that was taken in the last moment, or else its taker sees the removal.
   */
  readonly confirm?: (() => Promise<boolean>) | undefined;
  /** Only this very file: another one that has its name by now stays, and `not_found` is thrown. */
  readonly fileId?: string | undefined;
}

/** Every option of {@link RemoveOptions}. */
export const REMOVE_OPTIONS: OptionNames<RemoveOptions> = { confirm: true, fileId: true };

/** What was committed. */
export interface CommitReport {
  /** What was committed, as it was asked for. */
  readonly info: CommitInfo;
  /** Its tag. */
  readonly tag: string;
  /** Full name of the checkpoint. */
  readonly path: string;
  /** How many bytes, how they were coded, and the checksum of the whole. */
  readonly written: WriteReport;
  /** Whether the file was read back and compared before it was published. */
  readonly isVerified: boolean;
  /** What went wrong after the checkpoint was durable, and does not change that: the hint, the clean-up. */
  readonly warnings: readonly CairnError[];
}

/**
 * Where checkpoints go, and the one moment at which each of them begins to exist. The interface is that of
 * DeepSpeed's `CheckpointEngine`, which does not say what `commit` promises: here it is the durable point.
 * `DeepSpeedEngine` has the rest of its members.
 *
 * One checkpoint is made at a time: `create`, `save`, `commit`.
 */
export interface Engine {
  /** For messages: `file`, or what it is made of. */
  readonly name: string;
  /** Written into each checkpoint. Retention deletes only those of the same run. */
  readonly runId: string;
  /**
   * Begins a checkpoint. Nothing is visible yet.
   * @throws CairnError `invalid_tag` before anything is touched; `already_exists`.
   */
  create(target: CommitTarget, options?: CreateOptions): Promise<void>;
  /**
   * Writes the checkpoint that was created, with the state as it is in the tick of this call. Still nothing is
   * visible. After an error nothing is left of it.
   * @param path Accepted when it names the file of the created tag.
   * @returns What was written; `undefined` from a decoupled engine, whose `commit` says it.
   */
  save(
    state: CheckpointState | FrozenCheckpoint,
    path?: string,
    options?: SaveOptions,
  ): Promise<WriteReport | undefined>;
  /**
   * Makes the saved checkpoint exist. When it resolves, the checkpoint survives a power cut.
   * @throws CairnError `commit_failed` without a save before, or for another target than the created one.
   */
  commit(target: CommitTarget, options?: EngineCommitOptions): Promise<CommitReport>;
  /** Drops what was created or saved and not committed. Does nothing when there is nothing. */
  abort(): Promise<void>;
  /** What was created and is not committed yet; `undefined` when there is nothing. */
  readonly uncommitted: CommitInfo | undefined;
  /**
   * Opens a checkpoint by tag, by a path that {@link pathOf} gave, or, as a number, by its step, whatever it is
   * called: the newest of that step. The caller closes it.
   * @throws CairnError `not_found`, or what is wrong with the file.
   */
  load(tagOrPath: string | number, options?: EngineLoadOptions): Promise<Checkpoint>;
  /** Tags of all checkpoints, unfinished ones aside, in order of name. None when there is no directory yet. */
  list(): Promise<string[]>;
  /**
   * Removes a checkpoint: first its name, durably, then its bytes. A crash leaves all of it or nothing to be found.
   */
  remove(tag: string, options?: RemoveOptions): Promise<void>;
  /** Where its checkpoints are: what each full name begins with, up to the file's name, as in `/runs/a/`. */
  readonly location: string;
  /**
   * The same as folders of storages: that of `location` first, then those of copies. Empty for an engine without such
   * a folder.
   */
  readonly folders: readonly CheckpointFolder[];
  /** Full name of the checkpoint `tag`, which need not exist. */
  pathOf(tag: string): string;
  /**
   * Goes on as the run that wrote `tag`: later checkpoints carry its run id, and retention leaves `tag` alone.
   */
  continueRun(runId: string, tag: string): void;
  /** The tag that this process went on from, if any. */
  readonly resumedFrom: string | undefined;
  /** Whether `save` only begins the work, which goes on in the background until `commit` resolves. */
  isDecoupled(): boolean;
  /**
   * Whether `save` asks for the state's bytes once and no more, so that training may go on when they were read.
   * Optional; false where it is missing.
   */
  readsStateOnce?(): boolean;
  /** All checkpoints, without reading their data. Optional: where it is missing, each is opened at every question. */
  catalog?(options?: EngineLoadOptions): Promise<Catalog>;
  /** The same as of the last save, without looking again; `undefined` when there was none. Optional. */
  knownCatalog?(): Catalog | undefined;
  /** Drops what is not committed; a decoupled engine commits what was saved. Safe to call twice; never throws. */
  cleanup(): Promise<void>;
}
