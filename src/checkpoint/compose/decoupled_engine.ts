import { requireAwaited } from "../../base/options/kind_of.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { type Clock, systemClock } from "../../base/clock.ts";
import { CairnError } from "../../base/errors.ts";
import { readCatalog } from "../engine/catalog.ts";
import { notCommitted, nothingCreated, requireSame } from "../engine/commit_failed.ts";
import { CommitInfo } from "../engine/commit_info.ts";
import {
  type CommitReport,
  type CommitTarget,
  type CreateOptions,
  type Engine,
  ENGINE_COMMIT_OPTIONS,
  type EngineCommitOptions,
  type EngineLoadOptions,
  SAVE_OPTIONS,
  type SaveOptions,
} from "../engine/engine.ts";
import { EngineWrapper } from "./engine_wrapper.ts";
import { type CheckpointState, FrozenCheckpoint } from "../capture/frozen_checkpoint.ts";
import type { Catalog } from "../engine/summary.ts";
import { watch, type WatchOptions, WriterDied, type WriterProgress } from "./writer_watch.ts";

/** Options of {@link DecoupledEngine}. All have defaults. */
export interface DecoupledEngineOptions {
  /** How long `commit` waits for the writer. Default 300 000. */
  readonly timeoutMs?: number | undefined;
  /** How often to check meanwhile that the writer is alive. Default 10 000. */
  readonly livenessIntervalMs?: number | undefined;
  /**
   * For an engine that works elsewhere, in a worker or another process: whether that is alive. Always, unless given.
   */
  readonly isWriterAlive?: (() => boolean | Promise<boolean>) | undefined;
  /** Told what `cleanup` could not save, which must not throw. */
  readonly onCleanupError?: ((error: unknown) => void) | undefined;
  /** The clock that waits; that of the system unless given. */
  readonly clock?: Clock | undefined;
}

/** Every option of {@link DecoupledEngineOptions}. */
export const DECOUPLED_ENGINE_OPTIONS: OptionNames<DecoupledEngineOptions> = {
  timeoutMs: true,
  livenessIntervalMs: true,
  isWriterAlive: true,
  onCleanupError: true,
  clock: true,
};

interface Job {
  readonly info: CommitInfo;
  readonly controller: AbortController;
  /** Settles when everything is written, well or not. */
  readonly written: Promise<void>;
  progress: WriterProgress;
  failure: { readonly error: unknown } | undefined;
  committing: Promise<CommitReport> | undefined;
  /** Calls of `commit` that wait for it. */
  waiting: number;
}

/**
 * Lets another engine work in the background. `save` freezes the state and returns; `commit`, called at a later step
 * boundary, waits for the rest and makes the checkpoint exist. Its promise may also be kept and awaited later: it
 * resolves when the checkpoint is durable, and never before. A crash between the two leaves the save invisible.
 *
 * One save is in flight. No save is lost silently: when the writing fails, or the writer dies, the next call of
 * `create`, `save` or `commit` says so. Follows DeepSpeed's decoupled engine, whose `save` says nothing when its
 * process is gone.
 *
 * @example
 * ```ts
 * const engine = new DecoupledEngine(await FileEngine.open("checkpoints"));
 * await engine.create("100");
 * await engine.save(state);      // at step 100; training goes on
 * await engine.commit("100");    // at the boundary of step 101
 * ```
 */
export class DecoupledEngine extends EngineWrapper {
  readonly #options: Omit<WatchOptions, "progress">;
  readonly #onCleanupError: (error: unknown) => void;
  #job: Job | undefined;
  #died: WriterDied | undefined;
  #cleaning: Promise<void> | undefined;

  /** Wraps `inner`, which must not be used by others meanwhile. */
  constructor(inner: Engine, options: DecoupledEngineOptions = {}) {
    requireAwaited("The engine", inner, "FileEngine.open(…)");
    super(inner);
    const { timeoutMs = 300_000, livenessIntervalMs = 10_000, isWriterAlive = () => true } = checkOptions(
      "DecoupledEngine()",
      options,
      DECOUPLED_ENGINE_OPTIONS,
    );
    if (!(timeoutMs > 0) || !(livenessIntervalMs > 0)) {
      throw new RangeError(
        `timeoutMs is ${timeoutMs} and livenessIntervalMs ${livenessIntervalMs}, expected numbers above 0`,
      );
    }
    this.#options = { timeoutMs, livenessIntervalMs, isWriterAlive, clock: options.clock ?? systemClock };
    this.#onCleanupError = options.onCleanupError ?? (() => {});
  }

  override get name(): string {
    return `decoupled ${this.inner.name}`;
  }

  override isDecoupled(): boolean {
    return true;
  }

  override get uncommitted(): CommitInfo | undefined {
    return this.#job?.info ?? this.inner.uncommitted;
  }

  override async create(target: CommitTarget, options?: CreateOptions): Promise<void> {
    const what = `create ${CommitInfo.of(target)}`;
    const job = this.#job;
    if (job?.committing !== undefined) {
      // Its error goes to the caller of commit.
      await this.#watch(Promise.allSettled([job.committing]), what, job);
    }
    await this.#requireWriter(what);
    if (this.#job !== undefined) throw stillToCommit(what, this.#job);
    await this.inner.create(target, options);
  }

  /**
   * Freezes the state in this tick and resolves before it is written; unless the GPU has no memory for a copy of it:
   * then it resolves when everything is written.
   */
  override async save(
    state: CheckpointState | FrozenCheckpoint,
    path?: string,
    options: SaveOptions = {},
  ): Promise<undefined> {
    checkOptions("save()", options, SAVE_OPTIONS);
    this.#throwFailure("save");
    const info = this.inner.uncommitted;
    if (this.#job !== undefined) throw stillToCommit("save", this.#job);
    if (info === undefined) throw nothingCreated();
    const frozen = state instanceof FrozenCheckpoint ? state : FrozenCheckpoint.of(state);
    const job = this.#begin(info, frozen, path, options, () => {
      if (frozen !== state) frozen.release();
    });
    this.#job = job;
    await this.#requireWriter(`save ${info}`);
    const isStreamed = await frozen.staging().then(({ streamedBytes }) => streamedBytes > 0, () => false);
    if (isStreamed) await this.#watch(job.written, `save ${info}`, job);
  }

  override async commit(target: CommitTarget, options: EngineCommitOptions = {}): Promise<CommitReport> {
    checkOptions("commit()", options, ENGINE_COMMIT_OPTIONS);
    const info = CommitInfo.of(target);
    const what = `commit ${info}`;
    this.#throwDeath(what);
    const job = this.#job;
    if (job === undefined) return await this.inner.commit(info, options);
    requireSame(job.info, info);
    job.committing ??= this.#finish(job, options);
    job.committing.catch(() => {});
    job.waiting++;
    try {
      return await this.#watch(job.committing, what, job);
    } finally {
      job.waiting--;
      if (job.failure !== undefined) this.#forget(job);
    }
  }

  catalog(options: EngineLoadOptions = {}): Promise<Catalog> {
    return readCatalog(this.inner, options);
  }

  knownCatalog(): Catalog | undefined {
    return this.inner.knownCatalog?.();
  }

  /** Drops the save in flight, even while it is being written. */
  override async abort(): Promise<void> {
    const job = this.#job;
    this.#job = undefined;
    if (job !== undefined) {
      job.controller.abort(new CairnError("closed", `The save of ${job.info} was aborted`));
      const over = Promise.allSettled([job.written, job.committing]);
      if (this.#died === undefined) await this.#watch(over, `abort ${job.info}`, job);
    }
    if (this.#died === undefined) await this.inner.abort();
  }

  /** Commits what was saved, and ends the inner engine. What fails is told to `onCleanupError`. */
  override cleanup(): Promise<void> {
    this.#cleaning ??= this.#cleanUp().finally(() => this.#cleaning = undefined);
    return this.#cleaning;
  }

  async #cleanUp(): Promise<void> {
    const attempt = async (work: () => Promise<unknown>): Promise<void> => {
      try {
        await work();
      } catch (error) {
        try {
          this.#onCleanupError(error);
        } catch {
          // An error of the listener itself is dropped.
        }
      }
    };
    const job = this.#job;
    if (job !== undefined) await attempt(() => this.commit(job.info));
    await attempt(() => this.abort());
    if (this.#died === undefined) await attempt(() => this.inner.cleanup());
  }

  #begin(
    info: CommitInfo,
    frozen: FrozenCheckpoint,
    path: string | undefined,
    options: SaveOptions,
    onFailure: () => void,
  ): Job {
    const controller = new AbortController();
    const { signal } = options;
    const forward = (): void => controller.abort(signal?.reason);
    if (signal?.aborted) forward();
    else signal?.addEventListener("abort", forward, { once: true });
    const { clock } = this.#options;
    const job: Job = {
      info,
      controller,
      progress: { done: 0, total: 0, lastMs: clock.now() },
      failure: undefined,
      committing: undefined,
      waiting: 0,
      written: Promise.resolve().then(async () => {
        await this.inner.save(frozen, path, {
          ...options,
          signal: controller.signal,
          onProgress: (progress) => {
            job.progress = { ...progress, lastMs: clock.now() };
            options.onProgress?.(progress);
          },
        });
      }).catch((error: unknown) => {
        onFailure();
        job.failure = { error };
      }).finally(() => signal?.removeEventListener("abort", forward)),
    };
    return job;
  }

  async #finish(job: Job, options: EngineCommitOptions): Promise<CommitReport> {
    await job.written;
    try {
      if (job.failure !== undefined) throw job.failure.error;
      const report = await this.inner.commit(job.info, options);
      this.#forget(job);
      return report;
    } catch (error) {
      // After a timeout nothing waits any more: then the next call says it.
      job.failure ??= { error };
      if (job.waiting > 0) this.#forget(job);
      throw error;
    }
  }

  #forget(job: Job): void {
    if (this.#job === job) this.#job = undefined;
  }

  async #watch<T>(work: Promise<T>, what: string, job: Job): Promise<T> {
    try {
      return await watch(work, what, { ...this.#options, progress: () => job.progress });
    } catch (error) {
      if (error instanceof WriterDied) this.#bury(error);
      throw error;
    }
  }

  #bury(error: WriterDied): void {
    this.#died = error;
    this.#job?.controller.abort(error);
    this.#job = undefined;
  }

  /** Before anything new is begun: the failure of the last save, or the death of the writer. */
  async #requireWriter(what: string): Promise<void> {
    this.#throwFailure(what);
    if (await this.#options.isWriterAlive()) return;
    this.#bury(new WriterDied(what));
    this.#throwDeath(what);
  }

  #throwFailure(what: string): void {
    this.#throwDeath(what);
    const job = this.#job;
    if (job?.failure === undefined) return;
    this.#job = undefined;
    const { error } = job.failure;
    // The signal's own reason, as everywhere.
    if (job.controller.signal.aborted && error === job.controller.signal.reason) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new CairnError(
      "commit_failed",
      `Cannot ${what}: the save of ${job.info} before it failed in the background and was not committed: ${reason}`,
      { details: { op: "save", tag: job.info.tag }, cause: error },
    );
  }

  #throwDeath(what: string): void {
    if (this.#died !== undefined) throw new WriterDied(what);
  }
}

function stillToCommit(what: string, { info }: Job): CairnError {
  return new CairnError(
    "commit_failed",
    `Cannot ${what}: ${notCommitted(info)}`,
    { details: { op: "create", tag: info.tag } },
  );
}
