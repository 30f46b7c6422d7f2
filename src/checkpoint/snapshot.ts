import { requireAwaited } from "../base/options/kind_of.ts";
import { checkOptions } from "../base/options/options.ts";
import { BACKGROUND_SAVE_OPTIONS, type BackgroundSaveOptions } from "./background_saver.ts";
import type { HostState } from "./capture/state_types.ts";
import type { Engine } from "./engine/engine.ts";
import { type EngineTarget, isPath } from "./engine/engine_target.ts";
import { type FieldLoadOptions, FieldSnapshot, type SnapshotFields } from "./field_snapshot.ts";
import { FileSnapshot } from "./file_snapshot.ts";
import { checkRetentionPolicy } from "./keep/retention/retention.ts";
import type { PendingSnapshot } from "./pending_snapshot.ts";
import { type RestoreReport, RunSnapshot } from "./run_snapshot.ts";
import {
  RESTORE_OPTIONS,
  type RestoreOptions,
  SNAPSHOT_OPTIONS,
  type SnapshotOptions,
} from "./snapshot_options.ts";
import type { ModelState, SnapshotState } from "./snapshot_state.ts";

/**
 * A run's state, to be saved and restored as a whole. Follows `Snapshot` of the-algorithm-ml, which is built on
 * torchsnapshot.
 *
 * @example
 * ```ts
 * const state = { store, loader };            // a TensorStore, and something with stateDict and loadStateDict
 * const snapshot = new Snapshot("checkpoints", state);
 * snapshot.step = 1000;
 * const pending = await snapshot.save(1000);  // training goes on
 * await pending.wait();                       // checkpoints/1000.cairn is durable
 * await snapshot.close();
 * ```
 *
 * @example One file, without a run around it:
 * ```ts
 * await using snapshot = new Snapshot("models/best");
 * await snapshot.save({ store, epoch: 3 });   // models/best.cairn, durable when the snapshot is closed
 * ```
 */
export class Snapshot {
  readonly #shape: RunSnapshot | FileSnapshot;
  readonly #options: SnapshotOptions;

  /**
   * What is to be saved, and where. Nothing is written before the first `save`.
   *
   * @param target Directory of the checkpoints, which need not exist, or an engine. Without a state: path of the one
   * file.
   * @param state Kept by reference. It gets an entry `extraState` with the step and the wall time, instead of any
   * other.
   */
  constructor(target: EngineTarget, state?: SnapshotState, options: SnapshotOptions = {}) {
    checkOptions("Snapshot()", options, SNAPSHOT_OPTIONS);
    requireAwaited("The engine", target, "FileEngine.open(…)");
    if (options.keep !== undefined) checkRetentionPolicy(options.keep);
    this.#options = options;
    if (state !== undefined) this.#shape = new RunSnapshot(target, state, options);
    else if (isPath(target)) this.#shape = new FileSnapshot(target, options);
    else {
      throw new TypeError(
        "A snapshot needs a state, or else the path of one file: new Snapshot(engine, state)",
      );
    }
  }

  /** A snapshot of named values without a run around them; see {@link FieldSnapshot}. */
  static of(fields: SnapshotFields): FieldSnapshot {
    return new FieldSnapshot(fields);
  }

  /** The fields of a file that {@link Snapshot.of} saved, or the state of any other checkpoint. */
  static load(
    path: string | URL,
    options: FieldLoadOptions = {},
  ): Promise<{ [name: string]: HostState }> {
    return FieldSnapshot.load(path, options);
  }

  /**
   * The caller's own object: what it holds when `save` is called is what is saved. In the path shape, what was given
   * to the last `save`.
   */
  get state(): SnapshotState {
    return this.#shape.state;
  }

  /** Optimiser updates so far, saved and restored with the snapshot. Saving does not set it. */
  get step(): number {
    return this.#shape.extra.step;
  }

  set step(value: number) {
    this.#shape.extra.step = value;
  }

  /** Seconds of training so far, restarts included; the training loop adds to it. */
  get walltime(): number {
    return this.#shape.extra.walltime;
  }

  set walltime(value: number) {
    this.#shape.extra.walltime = value;
  }

  /** The last save that was begun, to be looked at or waited for. */
  get pending(): PendingSnapshot | undefined {
    return this.#shape.target.saver.latest;
  }

  /** Where the checkpoints go. */
  engine(): Promise<Engine> {
    return this.#shape.target.engine;
  }

  /**
   * Takes the state as it is now, and goes on in the background: `<directory>/<globalStep>.cairn` is durable when the
   * pending snapshot says so. While the save before is under way, this waits for that one first; and where the GPU
   * has no memory for a copy of the tensors, until they are read. Do not change the store before it resolves.
   *
   * @throws the error of the last save, if nothing awaited it; the next call works.
   */
  save(globalStep: number | string, options?: BackgroundSaveOptions): Promise<PendingSnapshot>;
  /**
   * The same for a snapshot that was made with the path of one file and no state: what is saved is `modelState` as it
   * is now. A file that is there from before is `already_exists` unless `overwrite`; a later save replaces the one
   * before.
   */
  save(modelState: ModelState, options?: BackgroundSaveOptions): Promise<PendingSnapshot>;
  async save(
    what: number | string | ModelState,
    options: BackgroundSaveOptions = {},
  ): Promise<PendingSnapshot> {
    checkOptions("save()", options, BACKGROUND_SAVE_OPTIONS);
    if (options.keep !== undefined) checkRetentionPolicy(options.keep);
    const {
      keep = this.#options.keep,
      overwrite = this.#options.overwrite,
      onWait = this.#options.onWait,
    } = options;
    return await this.#shape.save(what, { ...options, keep, overwrite, onWait });
  }

  /**
   * Puts a checkpoint back in place: tensors into the store's own memory, and each entry of the state into the one of
   * the same name. What the state lacks is not restored; options say which tensors are. A checkpoint that is older
   * than `walltime`, or than both numbers, restores with 0 for what it lacks. After restoring a checkpoint of the own
   * directory, the run goes on as the run that saved it.
   *
   * @param path A step or tag of the own directory, or the path of a file anywhere.
   * @throws CairnError as `Checkpoint.loadInto` and for state that is missing; then nothing was changed.
   */
  async restore(path: string | number | URL, options: RestoreOptions = {}): Promise<RestoreReport> {
    checkOptions("restore()", options, RESTORE_OPTIONS, "{ strict: false }");
    if (path === "") {
      throw new TypeError("Cannot restore: the path is empty, so there was no checkpoint to be found");
    }
    return await this.#shape.restore(path, options);
  }

  /**
   * Waits for the save under way and frees the GPU's shadow memory. @throws when that save fails and nothing awaited
   * it.
   */
  async close(): Promise<void> {
    await this.#shape.target.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
