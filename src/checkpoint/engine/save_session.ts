import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { WriteReport } from "../../container/write/container_writer.ts";
import { type CheckpointState, FrozenCheckpoint } from "../capture/frozen_checkpoint.ts";
import { commitFailed, notCommitted, nothingCreated, requireSame } from "./commit_failed.ts";
import { CommitInfo } from "./commit_info.ts";
import {
  type CommitReport,
  type CommitTarget,
  type CreateOptions,
  ENGINE_OPTIONS,
  type EngineCommitOptions,
  type SaveOptions,
} from "./engine.ts";
import { OneAtATime } from "./one_at_a_time.ts";

/** One checkpoint on its way, as an engine makes it. */
export interface Writing<Options extends SaveOptions> {
  /** Writes everything, with nothing visible yet. Called once. */
  write(frozen: FrozenCheckpoint, options: Options): Promise<WriteReport>;
  /** Makes what was written exist. Called once, after `write` has resolved. */
  commit(options: EngineCommitOptions): Promise<CommitReport>;
  /** Removes what is there of it, but for what was published. Called after an error, too. */
  abort(): Promise<void>;
}

/** What an engine does itself to make checkpoints; {@link SaveSession} does the rest. */
export interface CheckpointWriter<Options extends SaveOptions> {
  /** Begins a checkpoint, or leaves nothing of it. */
  begin(info: CommitInfo, overwrite: boolean): Promise<Writing<Options>>;
  /** @throws TypeError for a path that is not the file of the checkpoint. */
  requireFileOf(info: CommitInfo, path: string): void;
}

interface Pending<Options extends SaveOptions> {
  readonly info: CommitInfo;
  readonly writing: Writing<Options>;
  saved?: FrozenCheckpoint;
}

/**
 * The order of the calls of an engine: `create`, `save`, `commit`, with `abort` at any time. One checkpoint is made at a
 * time, by one call at a time. The state is frozen in the tick of `save`, and released after the commit or an error.
 */
export class SaveSession<Options extends SaveOptions> {
  readonly calls: OneAtATime = new OneAtATime();
  readonly #writer: CheckpointWriter<Options>;
  readonly #saveOptions: OptionNames<Options>;
  #pending: Pending<Options> | undefined;

  /** @param saveOptions Every option that a save takes. */
  constructor(writer: CheckpointWriter<Options>, saveOptions: OptionNames<Options>) {
    this.#writer = writer;
    this.#saveOptions = saveOptions;
  }

  /** See `Engine.create`. */
  async create(target: CommitTarget, options: CreateOptions = {}): Promise<void> {
    const { overwrite = false } = checkOptions("create()", options, ENGINE_OPTIONS.create);
    const info = CommitInfo.of(target);
    if (this.#pending?.saved !== undefined) {
      throw commitFailed(info, notCommitted(this.#pending.info), "create");
    }
    await this.calls.run("create", async () => {
      await this.abort();
      this.#pending = { info, writing: await this.#writer.begin(info, overwrite) };
    });
  }

  /** See `Engine.save`. */
  async save(
    state: CheckpointState | FrozenCheckpoint,
    path: string | undefined,
    options: Options,
  ): Promise<WriteReport> {
    checkOptions("save()", options, this.#saveOptions);
    const pending = this.#pending;
    if (pending === undefined || pending.saved !== undefined) throw nothingCreated();
    if (path !== undefined) this.#writer.requireFileOf(pending.info, path);
    this.calls.requireIdle("save");
    // In this very tick, as a caller that passes live state expects.
    const frozen = state instanceof FrozenCheckpoint ? state : FrozenCheckpoint.of(state);
    try {
      const report = await this.calls.run("save", () => pending.writing.write(frozen, options));
      pending.saved = frozen;
      return report;
    } catch (error) {
      if (frozen !== state) frozen.release();
      await this.#drop(pending);
      throw error;
    }
  }

  /** See `Engine.commit`. */
  async commit(target: CommitTarget, options: EngineCommitOptions = {}): Promise<CommitReport> {
    checkOptions("commit()", options, ENGINE_OPTIONS.commit);
    const info = CommitInfo.of(target);
    const pending = this.#pending;
    if (pending === undefined) {
      throw commitFailed(info, "nothing was created; call create() and save() first");
    }
    requireSame(pending.info, info);
    if (pending.saved === undefined) throw commitFailed(info, "nothing was saved; call save() first");
    return await this.calls.run("commit", async () => {
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

  /** See `Engine.abort`. */
  async abort(): Promise<void> {
    if (this.#pending !== undefined) await this.#drop(this.#pending);
  }

  /** See `Engine.uncommitted`. */
  get uncommitted(): CommitInfo | undefined {
    return this.#pending?.info;
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
