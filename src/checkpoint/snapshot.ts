import { TensorStore } from "../tensor/tensor_store.ts";
import { type BackgroundSaveOptions, BackgroundSaver } from "./background_saver.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { Engine } from "./engine.ts";
import { FieldSnapshot, type SnapshotFields } from "./field_snapshot.ts";
import { FileEngine, type FileEngineOptions } from "./file_engine.ts";
import type { CheckpointState } from "./frozen_checkpoint.ts";
import type { HostState, StateInput } from "./host_state.ts";
import type { LoadReport } from "./load_report.ts";
import type { EngineTarget } from "./open_engine.ts";
import type { PendingSnapshot } from "./pending_snapshot.ts";
import { applyState, isPlain, requireState, type StateByName } from "./restore_state.ts";
import { isRunId } from "./run_id.ts";
import { openFrom } from "./warm_start.ts";

/** What a {@link Snapshot} covers, by name: one store of tensors, and whatever else there is. */
export type SnapshotState = { [name: string]: StateInput | TensorStore };

/** Options of {@link Snapshot}: those of the engine, used when it is given a directory, and of each save. */
export interface SnapshotOptions
  extends FileEngineOptions, Omit<BackgroundSaveOptions, "signal" | "onProgress"> {}

/** Options of {@link Snapshot.restore}. */
export interface RestoreOptions {
  /** Whether everything has to fit exactly. Default true. */
  readonly strict?: boolean;
  readonly signal?: AbortSignal;
  /** Called after each chunk with raw bytes. */
  readonly onProgress?: (progress: { done: number; total: number }) => void;
}

const EXTRA_STATE = "extraState";

/** The two numbers that every snapshot has of itself. */
type ExtraState = { step: number; walltime: number };

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
 */
export class Snapshot {
  /** The caller's own object: what it holds when `save` is called is what is saved. */
  readonly state: SnapshotState;
  readonly #engine: Promise<Engine>;
  readonly #saver: BackgroundSaver;
  readonly #options: SnapshotOptions;

  /**
   * @param target Directory of the checkpoints, which need not exist, or an engine.
   * @param state Kept by reference. It gets an entry `extraState` with the step and the wall time, in the place of any other.
   */
  constructor(target: EngineTarget, state: SnapshotState, options: SnapshotOptions = {}) {
    this.state = state;
    this.state[EXTRA_STATE] = { step: 0, walltime: 0 };
    this.#options = options;
    const isPath = typeof target === "string" || target instanceof URL;
    this.#engine = isPath ? FileEngine.open(target, options) : Promise.resolve(target);
    this.#saver = new BackgroundSaver(this.#engine);
  }

  /** A snapshot of named values without a run around them; see {@link FieldSnapshot}. */
  static of(fields: SnapshotFields): FieldSnapshot {
    return new FieldSnapshot(fields);
  }

  /** The fields of a file that {@link Snapshot.of} saved, or the state of any other checkpoint. */
  static load(path: string | URL): Promise<{ [name: string]: HostState }> {
    return FieldSnapshot.load(path);
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
    return this.#saver.latest;
  }

  /** Where the checkpoints go. */
  engine(): Promise<Engine> {
    return this.#engine;
  }

  /**
   * Takes the state as it is now, and goes on in the background: `<directory>/<globalStep>.cairn` is durable when the
   * pending snapshot says so. While the save before is under way, this waits for that one first.
   *
   * @throws what the save before failed with, when nobody waited for that; the next call works.
   */
  async save(globalStep: number | string, options: BackgroundSaveOptions = {}): Promise<PendingSnapshot> {
    const { keep, overwrite, onWait } = this.#options;
    const defaults: BackgroundSaveOptions = {
      ...keep === undefined ? {} : { keep },
      ...overwrite === undefined ? {} : { overwrite },
      ...onWait === undefined ? {} : { onWait },
    };
    return await this.#saver.save(() => this.#capture(globalStep), globalStep, { ...defaults, ...options });
  }

  /**
   * Puts a checkpoint back in place: tensors into the store, and each entry of the state into the one of the same name.
   * A checkpoint that is older than `walltime`, or than both numbers, restores with 0 for what it lacks. After restoring a
   * checkpoint of the own directory, the run goes on as the run that saved it.
   *
   * @param path A step or tag of the own directory, or the path of a file anywhere.
   * @returns What was loaded into the store.
   * @throws CairnError as `Checkpoint.loadInto` and for state that is missing; then nothing was changed.
   */
  async restore(path: string | number | URL, options: RestoreOptions = {}): Promise<LoadReport | undefined> {
    if (path === "") {
      throw new TypeError("Cannot restore: the path is empty, so there was no checkpoint to be found");
    }
    const engine = await this.#engine;
    const checkpoint = await openFrom(engine, path, options.signal);
    try {
      await checkpoint.verify(options);
      const { store, rest } = this.#parts();
      const saved = await checkpoint.state();
      const names = Object.keys(rest);
      const { strict = true } = options;
      const required = names.filter((name) => strict && name !== EXTRA_STATE);
      requireState(required, saved, `checkpoint "${checkpoint.tag}"`);
      const report = store === undefined ? undefined : await checkpoint.loadInto(store, options);
      await applyState(rest, saved, names.filter((name) => name !== EXTRA_STATE));
      Object.assign(this.state, rest, { [EXTRA_STATE]: migrateExtraState(saved) });
      this.#continueRun(engine, checkpoint);
      return report;
    } finally {
      await checkpoint.close();
    }
  }

  /** Waits for the save under way and frees the GPU's shadow memory. @throws when that save fails and nobody waited. */
  async close(): Promise<void> {
    await this.#saver.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get #extraState(): ExtraState {
    const extra = this.state[EXTRA_STATE];
    if (isExtraState(extra)) return extra;
    const renewed = { step: 0, walltime: 0 };
    this.state[EXTRA_STATE] = renewed;
    return renewed;
  }

  #capture(globalStep: number | string): CheckpointState {
    const { store, rest } = this.#parts();
    const step = typeof globalStep === "number" ? globalStep : this.step;
    return { ...store === undefined ? {} : { store }, state: rest, provenance: { step } };
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

  #continueRun(engine: Engine, { path, tag, provenance: { runId } }: Checkpoint): void {
    if (isRunId(runId) && engine.pathOf(tag) === path) engine.continueRun(runId, tag);
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
