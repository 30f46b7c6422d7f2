import { TensorStore } from "../tensor/tensor_store.ts";
import type { BackgroundSaveOptions } from "./background_saver.ts";
import { isStateful } from "./capture/state_types.ts";
import { checkpointPath } from "./file/open_path.ts";
import type { PendingSnapshot } from "./pending_snapshot.ts";
import { isPlain } from "./restore/restore_state.ts";
import { SaveTarget } from "./save_target.ts";
import type { SnapshotOptions } from "./snapshot_options.ts";
import { checkpointOf, type ExtraState, type ModelState, type SnapshotState } from "./snapshot_state.ts";

/** A `Snapshot` without a state: each save replaces its one file by what it is given. */
export class FileSnapshot {
  readonly target: SaveTarget;
  /** Its own, which no file has. */
  readonly extra: ExtraState = { step: 0, walltime: 0 };
  readonly #fileName: string;
  readonly #options: SnapshotOptions;
  #state: SnapshotState = {};
  #hasSaved = false;

  constructor(path: string | URL, options: SnapshotOptions) {
    const { directory, fileName } = checkpointPath(path, options.storages);
    this.target = new SaveTarget(directory, options);
    this.#fileName = fileName;
    this.#options = options;
  }

  /** What was given to the last save. */
  get state(): SnapshotState {
    return this.#state;
  }

  async save(
    modelState: number | string | ModelState,
    options: BackgroundSaveOptions,
  ): Promise<PendingSnapshot> {
    if (typeof modelState !== "object") {
      throw new TypeError(
        `A snapshot of the one file "${this.#fileName}" has no steps; pass what is to be saved: save(modelState)`,
      );
    }
    const { saver } = this.target;
    const { latest } = saver;
    if (latest !== undefined && !latest.isSettled) {
      options.onWait?.(latest);
      await latest.settled();
    }
    this.#hasSaved ||= latest?.done === true;
    this.#state = namedState(modelState);
    const info = { tag: this.#fileName, saveLatest: false };
    const { overwrite = this.#hasSaved } = options;
    return await saver.save(() => checkpointOf(this.#state, this.#options), info, { ...options, overwrite });
  }

  restore(): never {
    throw new TypeError(
      "A snapshot of one file restores nothing; use Snapshot.load, or new Snapshot(dir, state)",
    );
  }
}

/** What was given to a save, by name. */
function namedState(modelState: ModelState): SnapshotState {
  if (modelState instanceof TensorStore) return { store: modelState };
  if (isStateful(modelState)) return { model: modelState };
  if (isPlain(modelState)) return modelState as SnapshotState;
  throw new TypeError(
    "A model state is a TensorStore, an object with stateDict and loadStateDict, or a plain object of those",
  );
}
