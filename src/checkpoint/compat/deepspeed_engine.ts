import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { CairnError } from "../../base/errors.ts";
import type { WriteReport } from "../../container/write/container_writer.ts";
import type { Storage } from "../../storage/storage.ts";
import { directoryOf, joinPath, nameOf } from "../../storage/storage_path.ts";
import { type CheckpointState, FrozenCheckpoint } from "../capture/frozen_checkpoint.ts";
import { EngineWrapper } from "../compose/engine_wrapper.ts";
import { requireFolder } from "../engine/checkpoint_folder.ts";
import { commitFailed, notCommitted, nothingCreated } from "../engine/commit_failed.ts";
import type { CommitInfo } from "../engine/commit_info.ts";
import type { CommitTarget, CreateOptions, SaveOptions } from "../engine/engine.ts";

/** Options of {@link DeepSpeedEngine.makedirs}. */
export interface MakeDirsOptions {
  /** Whether the directory may be there already. Default false. */
  readonly existOk?: boolean | undefined;
}

/** Every option of {@link MakeDirsOptions}. */
export const MAKE_DIRS_OPTIONS: OptionNames<MakeDirsOptions> = { existOk: true };

/**
 * Any engine, with the members of DeepSpeed's `CheckpointEngine` that only programs for DeepSpeed need.
 *
 * @example
 * ```ts
 * const engine = new DeepSpeedEngine(await FileEngine.open("checkpoints"));
 * engine.setCommitInfo(CommitInfo.of({ tag: "100", saveLatest: false }));
 * await engine.save(state);
 * await engine.commit("100");
 * ```
 */
export class DeepSpeedEngine extends EngineWrapper {
  /** What the next `save` creates, or that it creates nothing; `undefined` where `create` was called. */
  #set: CommitInfo | null | undefined;
  #isSaved = false;

  /** What was created or set, and is not committed yet. */
  getCommitInfo(): CommitInfo | null {
    return this.#set === undefined ? this.inner.uncommitted ?? null : this.#set;
  }

  /**
   * Says what the next `save` makes, instead of `create`, which `save` then calls; `null` takes it back.
   *
   * @throws CairnError `commit_failed` while something is saved and not committed.
   */
  setCommitInfo(info: CommitInfo | null): void {
    const { uncommitted } = this.inner;
    if (this.#isSaved && uncommitted !== undefined) {
      throw commitFailed(info ?? uncommitted, notCommitted(uncommitted), "set");
    }
    this.#set = info;
  }

  override async create(target: CommitTarget, options?: CreateOptions): Promise<void> {
    await super.create(target, options);
    this.#set = undefined;
    this.#isSaved = false;
  }

  override async save(
    state: CheckpointState | FrozenCheckpoint,
    path?: string,
    options?: SaveOptions,
  ): Promise<WriteReport | undefined> {
    if (this.#set === null) throw nothingCreated();
    // In this very tick, as a caller that passes live state expects.
    const frozen = state instanceof FrozenCheckpoint ? state : FrozenCheckpoint.of(state);
    try {
      if (this.#set !== undefined) await this.create(this.#set);
      const report = await super.save(frozen, path, options);
      this.#isSaved = true;
      return report;
    } catch (error) {
      this.#set = undefined;
      if (frozen !== state) frozen.release();
      throw error;
    }
  }

  override async abort(): Promise<void> {
    this.#set = undefined;
    await super.abort();
  }

  /** Creates a directory beside the checkpoints, durably. Unless `existOk`, it must not exist. */
  async makedirs(path: string, options: MakeDirsOptions = {}): Promise<void> {
    const { existOk = false } = checkOptions("makedirs()", options, MAKE_DIRS_OPTIONS);
    requireFolder(this);
    for (const { storage, directory } of this.folders) {
      const made = path === "" ? directory : joinPath(directory, path);
      if (!existOk) await refuseExisting(storage, made);
      await storage.makeDirectory(made);
    }
  }

  /** Whether the process of this data-parallel rank writes. */
  isDataParallelWriter(rank: number): boolean {
    return rank === 0;
  }

  /** Whether tensors that share memory do so again after loading. */
  preservesStorageSharing(): boolean {
    return true;
  }
}

async function refuseExisting(storage: Storage, directory: string): Promise<void> {
  const siblings = await storage.list(directoryOf(directory));
  if (!siblings.some(({ name }) => name === nameOf(directory))) return;
  const path = storage.describe(directory);
  const message = `Cannot create "${path}": it exists already; pass existOk to accept that`;
  throw new CairnError("already_exists", message, { details: { op: "create", path } });
}
