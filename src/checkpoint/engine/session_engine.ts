import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { CairnError } from "../../base/errors.ts";
import type { WriteReport } from "../../container/write/container_writer.ts";
import { type CheckpointState, FrozenCheckpoint } from "../capture/frozen_checkpoint.ts";
import type { Checkpoint } from "../file/checkpoint.ts";
import { checkTag, fileNameOf } from "../file/tags.ts";
import type { CheckpointFolder } from "./checkpoint_folder.ts";
import { commitFailed, notCommitted, nothingCreated, requireSame } from "./commit_failed.ts";
import { CommitInfo } from "./commit_info.ts";
import {
  type CommitReport,
  type CommitTarget,
  CREATE_OPTIONS,
  type CreateOptions,
  type Engine,
  ENGINE_COMMIT_OPTIONS,
  ENGINE_LOAD_OPTIONS,
  type EngineCommitOptions,
  type EngineLoadOptions,
  type RemoveOptions,
  type SaveOptions,
} from "./engine.ts";
import { withoutPrefix } from "./engine_paths.ts";
import { tagOfStep } from "./step_tag.ts";

/** One checkpoint on its way, as an engine makes it. */
export interface Writing<Options extends SaveOptions = SaveOptions> {
  /** Writes everything, with nothing visible yet. Called once. */
  write(frozen: FrozenCheckpoint, options: Partial<Options>): Promise<WriteReport>;
  /** Makes what was written exist. Called once, after `write` has resolved. */
  commit(options: EngineCommitOptions): Promise<CommitReport>;
  /** Removes what is there of it, but for what was published. Called after an error, too. */
  abort(): Promise<void>;
}

interface Pending<Options extends SaveOptions> {
  readonly info: CommitInfo;
  readonly writing: Writing<Options>;
  saved?: FrozenCheckpoint;
}

/**
 * An engine that only has to say how one checkpoint is begun, written, committed and aborted. The order of the calls
 * is kept here: `create`, `save`, `commit`, with `abort` at any time. One checkpoint is made at a time, by one call at
 * a time. The state is frozen in the tick of `save`, and released after the commit or an error.
 */
export abstract class SessionEngine<Options extends SaveOptions = SaveOptions> implements Engine {
  abstract readonly name: string;
  abstract readonly runId: string;
  abstract readonly resumedFrom: string | undefined;
  abstract readonly location: string;
  abstract readonly folders: readonly CheckpointFolder[];
  readonly #saveOptions: OptionNames<Options>;
  #pending: Pending<Options> | undefined;
  #isBusy = false;

  /**
   * An engine with nothing under way.
   *
   * @param saveOptions Every option that a save takes.
   */
  constructor(saveOptions: OptionNames<Options>) {
    this.#saveOptions = saveOptions;
  }

  abstract list(): Promise<string[]>;
  abstract remove(tag: string, options?: RemoveOptions): Promise<void>;
  abstract pathOf(tag: string): string;
  abstract continueRun(runId: string, tag: string): void;
  /** Begins a checkpoint, or leaves nothing of it. */
  protected abstract begin(info: CommitInfo, overwrite: boolean): Promise<Writing<Options>>;
  /** What a caller may call the file of a checkpoint that is made, besides its tag and its name. */
  protected abstract pathsTo(info: CommitInfo): readonly string[];
  /** Opens a checkpoint. The caller closes it. */
  protected abstract open(tag: string, signal: AbortSignal | undefined): Promise<Checkpoint>;

  async create(target: CommitTarget, options: CreateOptions = {}): Promise<void> {
    const { overwrite = false } = checkOptions("create()", options, CREATE_OPTIONS);
    const info = CommitInfo.of(target);
    if (this.#pending?.saved !== undefined) {
      throw commitFailed(info, notCommitted(this.#pending.info), "create");
    }
    await this.alone("create", async () => {
      await this.abort();
      this.#pending = { info, writing: await this.begin(info, overwrite) };
    });
  }

  async save(
    state: CheckpointState | FrozenCheckpoint,
    path?: string,
    options: Partial<Options> = {},
  ): Promise<WriteReport> {
    checkOptions<Partial<Options>>("save()", options, this.#saveOptions);
    const pending = this.#pending;
    if (pending === undefined || pending.saved !== undefined) throw nothingCreated();
    if (path !== undefined) this.#requireFileOf(pending.info, path);
    this.#requireIdle("save");
    // In this very tick, as a caller that passes live state expects.
    const frozen = state instanceof FrozenCheckpoint ? state : FrozenCheckpoint.of(state);
    try {
      const report = await this.alone("save", () => pending.writing.write(frozen, options));
      pending.saved = frozen;
      return report;
    } catch (error) {
      if (frozen !== state) frozen.release();
      await this.#drop(pending);
      throw error;
    }
  }

  async commit(target: CommitTarget, options: EngineCommitOptions = {}): Promise<CommitReport> {
    checkOptions("commit()", options, ENGINE_COMMIT_OPTIONS);
    const info = CommitInfo.of(target);
    const pending = this.#pending;
    if (pending === undefined) {
      throw commitFailed(info, "nothing was created; call create() and save() first");
    }
    requireSame(pending.info, info);
    if (pending.saved === undefined) throw commitFailed(info, "nothing was saved; call save() first");
    return await this.alone("commit", async () => {
      try {
        const report = await pending.writing.commit(options);
        this.#forget(pending);
        return report;
      } catch (error) {
        await this.#drop(pending);
        throw error;
      }
    });
  }

  async abort(): Promise<void> {
    if (this.#pending !== undefined) await this.#drop(this.#pending);
  }

  get uncommitted(): CommitInfo | undefined {
    return this.#pending?.info;
  }

  async load(tagOrPath: string | number, options: EngineLoadOptions = {}): Promise<Checkpoint> {
    checkOptions("load()", options, ENGINE_LOAD_OPTIONS);
    const tag = typeof tagOrPath === "number"
      ? await tagOfStep(this, tagOrPath, options)
      : checkTag(withoutPrefix(tagOrPath, this.locations));
    return await this.open(tag, options.signal);
  }

  isDecoupled(): boolean {
    return false;
  }

  async cleanup(): Promise<void> {
    await this.abort().catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cleanup();
  }

  /** Lets one call do its work at a time. @throws CairnError `commit_failed` for another one meanwhile. */
  protected async alone<T>(op: string, work: () => Promise<T>): Promise<T> {
    this.#requireIdle(op);
    this.#isBusy = true;
    try {
      return await work();
    } finally {
      this.#isBusy = false;
    }
  }

  /** What a path to a checkpoint may begin with. */
  protected get locations(): readonly string[] {
    return [this.location];
  }

  #requireIdle(op: string): void {
    if (!this.#isBusy) return;
    const message = `Cannot ${op}: another call of this engine is under way; await that first`;
    throw new CairnError("commit_failed", message, { details: { op } });
  }

  #requireFileOf(info: CommitInfo, path: string): void {
    const name = fileNameOf(info.tag);
    if ([info.tag, name, ...this.pathsTo(info)].includes(path)) return;
    throw new TypeError(`Cannot save to "${path}": checkpoint ${info} is the one file "${name}"`);
  }

  async #drop(pending: Pending<Options>): Promise<void> {
    this.#forget(pending);
    await pending.writing.abort();
  }

  #forget(pending: Pending<Options>): void {
    if (this.#pending === pending) this.#pending = undefined;
    pending.saved?.release();
  }
}
