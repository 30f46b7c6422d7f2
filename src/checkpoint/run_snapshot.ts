import type { BackgroundSaveOptions } from "./background_saver.ts";
import type { CheckpointState } from "./capture/frozen_checkpoint.ts";
import type { HostState } from "./capture/state_types.ts";
import { CheckpointEvents } from "./checkpoint_events.ts";
import type { EngineTarget } from "./engine/engine_target.ts";
import { openFrom, runToContinue } from "./engine/open_from.ts";
import type { PendingSnapshot } from "./pending_snapshot.ts";
import type { LoadReport } from "./restore/load_report.ts";
import { restore } from "./restore/restore.ts";
import { compareState, isPlain, type StateReport } from "./restore/restore_state.ts";
import { SaveTarget } from "./save_target.ts";
import type { RestoreOptions, SnapshotOptions } from "./snapshot_options.ts";
import {
  checkpointOf,
  type ExtraState,
  type ModelState,
  partsOf,
  type SnapshotState,
} from "./snapshot_state.ts";

/** What `Snapshot.restore` did, or would do: about the store's tensors, and about everything else by name. */
export interface RestoreReport extends LoadReport {
  /** About everything that is no tensor of a store, by name. */
  readonly state: StateReport;
}

const EXTRA_STATE = "extraState";

/** A `Snapshot` with a state: a directory or an engine has its checkpoints, each under a step. */
export class RunSnapshot {
  readonly target: SaveTarget;
  readonly state: SnapshotState;
  readonly #events: CheckpointEvents;
  readonly #options: SnapshotOptions;
  /** File id of the checkpoint that was restored last. */
  #parent: string | undefined;

  constructor(target: EngineTarget, state: SnapshotState, options: SnapshotOptions) {
    this.target = new SaveTarget(target, options);
    this.state = state;
    this.#events = new CheckpointEvents(options.onEvent);
    this.#options = options;
    state[EXTRA_STATE] = { step: 0, walltime: 0 };
  }

  /** Those in the state; 0 where the caller replaced them by something else. */
  get extra(): ExtraState {
    const extra = this.state[EXTRA_STATE];
    if (isExtraState(extra)) return extra;
    const renewed = { step: 0, walltime: 0 };
    this.state[EXTRA_STATE] = renewed;
    return renewed;
  }

  async save(
    globalStep: number | string | ModelState,
    options: BackgroundSaveOptions,
  ): Promise<PendingSnapshot> {
    if (typeof globalStep === "object") {
      throw new TypeError("This snapshot has a state, which it saves under a step: save(globalStep)");
    }
    return await this.target.saver.save(() => this.#capture(globalStep), globalStep, options);
  }

  async restore(path: string | number | URL, options: RestoreOptions): Promise<RestoreReport> {
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
    const engine = await this.target.engine;
    const { store, rest } = partsOf(this.state);
    const checkpoint = await this.#events.during(
      "load",
      String(path),
      () => openFrom(engine, path, options.signal, this.#options.storages),
      ({ reader }) => ({ bytes: reader.rawByteLength }),
    );
    try {
      const names = Object.keys(rest).filter((name) => name !== EXTRA_STATE);
      const runId = runToContinue(engine, checkpoint);
      const outcome = await restore(checkpoint.source, { store, state: this.state }, {
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

  #capture(globalStep: number | string): CheckpointState {
    const step = typeof globalStep === "number" ? globalStep : this.extra.step;
    const parent = this.#parent === undefined ? {} : { parent: this.#parent };
    return { ...checkpointOf(this.state, this.#options), provenance: { step, ...parent } };
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
