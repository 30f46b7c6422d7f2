import { requireAwaited } from "../base/options/kind_of.ts";
import { checkOptions } from "../base/options/options.ts";
import { TensorStore } from "../tensor/tensor_store.ts";
import { BACKGROUND_SAVE_OPTIONS, type BackgroundSaveOptions } from "./background_saver.ts";
import { CheckpointEvents } from "./checkpoint_events.ts";
import type { Engine } from "./engine/engine.ts";
import { type FieldLoadOptions, FieldSnapshot, type SnapshotFields } from "./field_snapshot.ts";
import type { CheckpointState } from "./capture/frozen_checkpoint.ts";
import { type HostState, isStateful, type Stateful, type StateInput } from "./capture/state_types.ts";
import type { LoadReport } from "./restore/load_report.ts";
import { type EngineTarget, isPath } from "./engine/open_engine.ts";
import { checkpointPath } from "./file/open_path.ts";
import { checkRetentionPolicy } from "./keep/retention/retention.ts";
import type { PendingSnapshot } from "./pending_snapshot.ts";
import { restore } from "./restore/restore.ts";
import { compareState, isPlain, type StateByName, type StateReport } from "./restore/restore_state.ts";
import {
  RESTORE_OPTIONS,
  type RestoreOptions,
  SNAPSHOT_OPTIONS,
  type SnapshotOptions,
} from "./snapshot_options.ts";
import { SaveTarget } from "./save_target.ts";
import { openFrom, runToContinue } from "./engine/open_from.ts";

export type { RestoreOptions, SnapshotOptions } from "./snapshot_options.ts";

/** What a {@link Snapshot} covers, by name: one store of tensors, and whatever else there is. */
export type SnapshotState = { [name: string]: StateInput | TensorStore };

/** What {@link Snapshot.restore} did, or would do: about the store's tensors, and about everything else by name. */
export interface RestoreReport extends LoadReport {
  readonly state: StateReport;
}

const EXTRA_STATE = "extraState";

/** The two numbers that every snapshot has of itself. */
type ExtraState = { step: number; walltime: number };

/** What {@link Snapshot.save} of the path shape takes: a store, something with a state of its own, or both and more by name. */
export type ModelState = TensorStore | Stateful | SnapshotState;

/**
 * A run's state, to be saved and restored as a whole. Follows `Snapshot` of the-algorithm-ml, which is built on torchsnapshot.
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
  #state: SnapshotState;
  /** Name of the one file, in the path shape. */
  readonly #file: string | undefined;
  #hasSavedFile = false;
  /** File id of the checkpoint that was restored last. */
  #parent: string | undefined;
  readonly #target: SaveTarget;
  readonly #events: CheckpointEvents;
  readonly #options: SnapshotOptions;

  /**
   * @param target Directory of the checkpoints, which need not exist, or an engine. Without a state: path of the one file.
   * @param state Kept by reference. It gets an entry `extraState` with the step and the wall time, in the place of any other.
   */
  constructor(target: EngineTarget, state?: SnapshotState, options: SnapshotOptions = {}) {
    checkOptions("Snapshot()", options, SNAPSHOT_OPTIONS);
    requireAwaited("The engine", target, "FileEngine.open(…)");
    if (options.keep !== undefined) checkRetentionPolicy(options.keep);
    if (state === undefined && !isPath(target)) {
      throw new TypeError(
        "A snapshot needs a state, or else the path of one file: new Snapshot(engine, state)",
      );
    }
    const file = state === undefined && isPath(target) ? checkpointPath(target, options.storages) : undefined;
    this.#state = state ?? {};
    this.#file = file?.fileName;
    this.#options = options;
    this.#events = new CheckpointEvents(options.onEvent);
    if (file === undefined) this.#state[EXTRA_STATE] = { step: 0, walltime: 0 };
    this.#target = new SaveTarget(file?.directory ?? target, options);
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
   * The caller's own object: what it holds when `save` is called is what is saved. In the path shape, what was given to the last
   * `save`.
   */
  get state(): SnapshotState {
    return this.#state;
  }

  /** Optimiser updates so far, saved and restored with the snapshot. Saving does not set it. */
  get step(): number {
    return this.#extraState.step;
  }

  set step(value: number) {
    this.#extraState.step = value;
  }

  /** Seconds of training so far, restarts included; whoever trains adds to it. */
  get walltime(): number {
    return this.#extraState.walltime;
  }

  set walltime(value: number) {
    this.#extraState.walltime = value;
  }

  /** The last save that was begun, to be looked at or waited for. */
  get pending(): PendingSnapshot | undefined {
    return this.#target.saver.latest;
  }

  /** Where the checkpoints go. */
  engine(): Promise<Engine> {
    return this.#target.engine;
  }

  /**
   * Takes the state as it is now, and goes on in the background: `<directory>/<globalStep>.cairn` is durable when the
   * pending snapshot says so. While the save before is under way, this waits for that one first; and where the GPU has no room for
   * a copy of the tensors, until they are read. Do not change the store before it resolves.
   *
   * @throws what the save before failed with, when nobody waited for that; the next call works.
   */
  save(globalStep: number | string, options?: BackgroundSaveOptions): Promise<PendingSnapshot>;
  /**
   * The same for a snapshot that was made with the path of one file and no state: what is saved is `modelState` as it is now.
   * A file that is there from before is `already_exists` unless `overwrite`; a later save replaces the one before.
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
    const settings: BackgroundSaveOptions = { ...options, keep, overwrite, onWait };
    if (typeof what === "object") return await this.#saveFile(what, settings);
    if (this.#file !== undefined) {
      throw new TypeError(
        `A snapshot of the one file "${this.#file}" has no steps; pass what is to be saved: save(modelState)`,
      );
    }
    return await this.#target.saver.save(() => this.#capture(what), what, settings);
  }

  /**
   * Puts a checkpoint back in place: tensors into the store's own memory, and each entry of the state into the one of the same
   * name. What the state lacks is not restored; options say which tensors are. A checkpoint that is older than `walltime`, or
   * than both numbers, restores with 0 for what it lacks. After restoring a checkpoint of the own directory, the run goes on as
   * the run that saved it.
   *
   * @param path A step or tag of the own directory, or the path of a file anywhere.
   * @throws CairnError as `Checkpoint.loadInto` and for state that is missing; then nothing was changed.
   */
  async restore(path: string | number | URL, options: RestoreOptions = {}): Promise<RestoreReport> {
    checkOptions("restore()", options, RESTORE_OPTIONS, "{ strict: false }");
    if (path === "") {
      throw new TypeError("Cannot restore: the path is empty, so there was no checkpoint to be found");
    }
    if (this.#file !== undefined) {
      throw new TypeError(
        "A snapshot of one file restores nothing; use Snapshot.load, or new Snapshot(dir, state)",
      );
    }
    const { report } = await this.#events.during(
      "restore",
      String(path),
      () => this.#restore(path, options),
      ({ bytes }) => ({ bytes }),
    );
    return report;
  }

  async #restore(
    path: string | number | URL,
    options: RestoreOptions,
  ): Promise<{ report: RestoreReport; bytes: number }> {
    const engine = await this.#target.engine;
    const { store, rest } = this.#parts();
    const checkpoint = await this.#events.during(
      "load",
      String(path),
      () => openFrom(engine, path, options.signal, this.#options.storages),
      ({ reader }) => ({ bytes: reader.rawByteLength }),
    );
    try {
      const names = Object.keys(rest).filter((name) => name !== EXTRA_STATE);
      const runId = runToContinue(engine, checkpoint);
      const outcome = await restore(checkpoint.source, { store, state: this.#state }, {
        ...options,
        names,
        putState: async (changes, { saved }) => {
          for (const name of names) await changes.restore(name);
          changes.set(EXTRA_STATE, migrateExtraState(saved));
        },
        prepare: () =>
          Promise.resolve(() => {
            this.#parent = checkpoint.reader.fileId;
            if (runId !== undefined) engine.continueRun(runId, checkpoint.tag);
          }),
      });
      const state = compareState(Object.keys(rest), outcome.saved);
      return { report: { ...outcome.tensors, state }, bytes: checkpoint.reader.rawByteLength };
    } finally {
      await checkpoint.close();
    }
  }

  /** Waits for the save under way and frees the GPU's shadow memory. @throws when that save fails and nobody waited. */
  async close(): Promise<void> {
    await this.#target.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #saveFile(modelState: ModelState, options: BackgroundSaveOptions): Promise<PendingSnapshot> {
    if (this.#file === undefined) {
      throw new TypeError("This snapshot has a state, which it saves under a step: save(globalStep)");
    }
    const { latest } = this.#target.saver;
    if (latest !== undefined && !latest.isSettled) {
      options.onWait?.(latest);
      await latest.settled();
    }
    this.#hasSavedFile ||= latest?.done === true;
    this.#state = namedState(modelState);
    const info = { tag: this.#file, saveLatest: false };
    const { overwrite = this.#hasSavedFile } = options;
    return await this.#target.saver.save(() => this.#capture(), info, { ...options, overwrite });
  }

  get #extraState(): ExtraState {
    const extra = this.state[EXTRA_STATE];
    if (isExtraState(extra)) return extra;
    const renewed = { step: 0, walltime: 0 };
    this.state[EXTRA_STATE] = renewed;
    return renewed;
  }

  #capture(globalStep?: number | string): CheckpointState {
    const { store, rest } = this.#parts();
    const { storedDType, modelCode } = this.#options;
    const captured = { store, state: rest, storedDType, modelCode };
    if (globalStep === undefined) return captured;
    const provenance = {
      step: typeof globalStep === "number" ? globalStep : this.step,
      ...this.#parent === undefined ? {} : { parent: this.#parent },
    };
    return { ...captured, provenance };
  }

  /** The store, and everything else. */
  #parts(): { store: TensorStore | undefined; rest: StateByName } {
    let store: TensorStore | undefined;
    const rest: StateByName = {};
    for (const [name, value] of Object.entries(this.state)) {
      if (!(value instanceof TensorStore)) rest[name] = value;
      else if (store === undefined) store = value;
      else throw new TypeError(`A snapshot covers one TensorStore; "${name}" is a second one`);
    }
    return { store, rest };
  }
}

function isExtraState(value: unknown): value is ExtraState {
  return isPlain(value) && typeof value.step === "number" && typeof value.walltime === "number";
}

/** Checkpoints from before there was a wall time, or from programs that keep neither, count from 0. */
function migrateExtraState(saved: HostState): ExtraState {
  const extra = isPlain(saved) ? saved[EXTRA_STATE] : undefined;
  const { step, walltime } = isPlain(extra) ? extra : {};
  return {
    step: typeof step === "number" ? step : 0,
    walltime: typeof walltime === "number" ? walltime : 0,
  };
}

/** What a path-shaped save was given, by name. */
function namedState(modelState: ModelState): SnapshotState {
  if (modelState instanceof TensorStore) return { store: modelState };
  if (isStateful(modelState)) return { model: modelState };
  if (isPlain(modelState)) return modelState as SnapshotState;
  throw new TypeError(
    "A model state is a TensorStore, an object with stateDict and loadStateDict, or a plain object of those",
  );
}
