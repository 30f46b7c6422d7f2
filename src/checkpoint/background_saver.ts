import { startThroughput, type Work, WORK_OPTIONS } from "../base/work.ts";
import type { OptionNames } from "../base/options/options.ts";
import { CairnError } from "../base/errors.ts";
import { nextTurn } from "../base/event_loop.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";
import { type CheckpointEventHandler, CheckpointEvents } from "./checkpoint_events.ts";
import { CommitInfo } from "./engine/commit_info.ts";
import type { CommitReport, CommitTarget, Engine, EngineCommitOptions } from "./engine/engine.ts";
import { type BytesListener, type CheckpointState, FrozenCheckpoint } from "./capture/frozen_checkpoint.ts";
import { kindOf, PendingSnapshot, type SaveListener, type SaveReport } from "./pending_snapshot.ts";
import { retain, type RetentionPolicy, type RetentionReport } from "./keep/retention/retention.ts";
import { STORE_COPY_OPTIONS, StoreCopy, type StoreCopyOptions } from "./capture/store_copy.ts";

/** Options of {@link BackgroundSaver}. */
export interface BackgroundSaverOptions extends StoreCopyOptions {
  /** Called when a save, its commit and its retention begin and end. What it throws is dropped. */
  readonly onEvent?: CheckpointEventHandler | undefined;
}

/** Every option of {@link BackgroundSaverOptions}. */
export const BACKGROUND_SAVER_OPTIONS: OptionNames<BackgroundSaverOptions> = {
  ...STORE_COPY_OPTIONS,
  onEvent: true,
};

/** Options of {@link BackgroundSaver.save}. */
export interface BackgroundSaveOptions extends Work {
  /** Replace a checkpoint that has the tag already. */
  readonly overwrite?: boolean | undefined;
  /** What to delete once this checkpoint is durable. Nothing unless given. */
  readonly keep?: RetentionPolicy | undefined;
  /** Called when the last save is still under way and this one has to wait for it. */
  readonly onWait?: ((previous: PendingSnapshot) => void) | undefined;
}

/** Every option of {@link BackgroundSaveOptions}. */
export const BACKGROUND_SAVE_OPTIONS: OptionNames<BackgroundSaveOptions> = {
  overwrite: true,
  keep: true,
  ...WORK_OPTIONS,
  onWait: true,
};

/**
 * Saves without holding up the training: `save` returns as soon as the tensors' copy is in the GPU's queue and the
 * rest is copied; reading back, compressing, writing and committing go on behind it. One save is under way at a time.
 *
 * Where the GPU has no memory for the copy, `save` returns when what cannot be copied was read and written, and says
 * so in `PendingSnapshot.staging`.
 */
export class BackgroundSaver {
  readonly #engine: Promise<Engine>;
  readonly #options: BackgroundSaverOptions;
  readonly #events: CheckpointEvents;
  readonly #copies = new Map<TensorStore, StoreCopy>();
  #latest: PendingSnapshot | undefined;
  #isClosed = false;

  /** @param engine Where to save; a promise for an engine that is still being opened. */
  constructor(engine: Engine | Promise<Engine>, options: BackgroundSaverOptions = {}) {
    this.#options = options;
    this.#events = new CheckpointEvents(options.onEvent);
    this.#engine = Promise.resolve(engine);
    // The caller is told.
    this.#engine.catch(() => {});
  }

  /** The last save that was begun. */
  get latest(): PendingSnapshot | undefined {
    return this.#latest;
  }

  /** Whether a save is under way. */
  get isBusy(): boolean {
    return this.#latest !== undefined && !this.#latest.isSettled;
  }

  /**
   * Takes the state, and goes on in the background. While the last save is under way it waits for that first, and
   * only then takes the state: pass a function where the state may change meanwhile. When it has resolved, the
   * tensors may change.
   *
   * @throws the error of the last save, if nothing awaited it; then nothing was taken, and the next call works.
   * @throws TypeError for a state that cannot be saved; CairnError `invalid_tag`, or of the GPU.
   */
  async save(
    state: CheckpointState | (() => CheckpointState),
    target: CommitTarget,
    options: BackgroundSaveOptions = {},
  ): Promise<PendingSnapshot> {
    const info = CommitInfo.of(target);
    // No await before the state is taken when nothing is under way: the caller may go on in the same tick.
    for (let waits = 0; this.#latest !== undefined && !this.#latest.isSettled; waits++) {
      if (waits === 0) options.onWait?.(this.#latest);
      await this.#latest.settled();
    }
    this.#throwUnreported();
    if (this.#isClosed) {
      throw new CairnError("closed", `Cannot save checkpoint ${info}: the saver was closed`);
    }
    options.signal?.throwIfAborted();
    const taken = typeof state === "function" ? state() : state;
    const frozen = FrozenCheckpoint.of(markedBy(options, taken), this.#copyOf(taken.store));
    const { isOnGpu, rawByteLength } = frozen;
    const pending = new PendingSnapshot(
      { tag: info.tag, isOnGpu, rawByteLength },
      (listener) =>
        this.#events.during(
          "save",
          info.tag,
          () => this.#run(frozen, info, options, listener),
          ({ written }) => ({ bytes: written.rawBytes }),
        ),
      options.signal,
    );
    this.#latest = pending;
    await pending.fixed;
    return pending;
  }

  /** Waits until no save is under way. @throws the error of the last one, if nothing awaited it. */
  async idle(): Promise<void> {
    while (this.#latest !== undefined && !this.#latest.isSettled) await this.#latest.settled();
    this.#throwUnreported();
  }

  /** Waits for the save under way and frees the GPU's shadow memory. Safe to call twice. @throws as {@link idle}. */
  async close(): Promise<void> {
    this.#isClosed = true;
    try {
      await this.idle();
    } finally {
      for (const copy of this.#copies.values()) copy.close();
      this.#copies.clear();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(
    frozen: FrozenCheckpoint,
    info: CommitInfo,
    options: BackgroundSaveOptions,
    listener: SaveListener,
  ): Promise<SaveReport> {
    const { overwrite = false, keep, signal, onProgress } = options;
    const throughputOf = startThroughput();
    try {
      const staging = await frozen.staging();
      listener.onStaging(staging);
      // The caller goes on first: in Deno a read from the GPU holds the thread until the GPU has done all its work.
      if (staging.streamedBytes === 0) await nextTurn();
      const engine = await this.#engine;
      requireOnce(frozen, engine);
      frozen.listen(onceFixed(listener, engine));
      await engine.create(info, { overwrite });
      try {
        await engine.save(frozen, undefined, {
          signal,
          onProgress: (progress) => {
            listener.onProgress(progress);
            onProgress?.(progress);
          },
        });
        listener.onPhase("fixed");
        // Where hardly anything else will be left, what is there has to be right.
        const isLast = keep?.last === 1 || keep?.replaces !== undefined;
        listener.onPhase("committing");
        const report = await this.#commit(engine, info, { signal, verify: isLast ? true : undefined });
        return {
          ...report,
          ...throughputOf(report.written.rawBytes),
          staging: kindOf(staging),
          streamedBytes: staging.streamedBytes,
          retention: keep === undefined ? undefined : await this.#cleanUp(engine, info.tag, keep),
        };
      } catch (error) {
        await engine.abort().catch(() => {});
        throw error;
      }
    } finally {
      frozen.release();
    }
  }

  async #commit(engine: Engine, info: CommitInfo, options: EngineCommitOptions): Promise<CommitReport> {
    return await this.#events.during(
      "commit",
      info.tag,
      () => engine.commit(info, options),
      ({ written }) => ({ bytes: written.rawBytes }),
    );
  }

  async #cleanUp(engine: Engine, newest: string, keep: RetentionPolicy): Promise<RetentionReport> {
    return await this.#events.during(
      "retention",
      newest,
      () => cleanUp(engine, newest, keep),
      ({ warnings: [error] }) => ({ bytes: 0, error }),
    );
  }

  /**
   * The copy of a store that saves are made from, for others to use while no save is under way; `undefined` while one
   * is, and without a store.
   */
  idleCopyOf(store: TensorStore | undefined): StoreCopy | undefined {
    return this.isBusy || this.#isClosed ? undefined : this.#copyOf(store);
  }

  #copyOf(store: TensorStore | undefined): StoreCopy | undefined {
    if (store === undefined) return undefined;
    const known = this.#copies.get(store);
    if (known !== undefined) return known;
    const copy = new StoreCopy(store, this.#options);
    this.#copies.set(store, copy);
    return copy;
  }

  #throwUnreported(): void {
    const latest = this.#latest;
    if (latest?.status !== "failed" || latest.isObserved) return;
    this.#latest = undefined;
    throw latest.error;
  }
}

/** What is saved with a retention is that retention's to delete, unless the state says otherwise. */
function markedBy({ keep }: BackgroundSaveOptions, state: CheckpointState): CheckpointState {
  return keep === undefined ? state : { ...state, provenance: { savedBy: "auto", ...state.provenance } };
}

/** For an engine that may read the bytes again, they are not fixed when they were read the first time. */
function onceFixed(listener: SaveListener, engine: Engine): BytesListener {
  if (engine.readsStateOnce?.() === true) return listener;
  return { ...listener, onPhase: (phase) => phase === "fixed" ? undefined : listener.onPhase(phase) };
}

function requireOnce({ isStreamed }: FrozenCheckpoint, engine: Engine): void {
  if (!isStreamed || engine.readsStateOnce?.() === true) return;
  throw new TypeError(
    "Some tensors of this state come from other ranks and are sent once, and an engine of several (a mirror, tiers) " +
      "may read them again: save to one directory, or leave optimizerSharding out",
  );
}

/** The checkpoint is durable by now, so that nothing that goes wrong here makes the save a failure. */
async function cleanUp(engine: Engine, newest: string, keep: RetentionPolicy): Promise<RetentionReport> {
  try {
    return await retain(engine, newest, keep);
  } catch (error) {
    if (!(error instanceof CairnError)) throw error;
    return { deleted: [], decisions: [], warnings: [error] };
  }
}
