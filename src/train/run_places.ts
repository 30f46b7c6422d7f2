import type { Engine } from "../checkpoint/engine/engine.ts";
import { type EngineTarget, isPath, openEngine } from "../checkpoint/engine/open_engine.ts";
import type { AutoSaver } from "./saves/auto_saver.ts";
import { CheckpointPlace } from "./saves/checkpoint_place.ts";
import type { RestoreTarget } from "./restore.ts";
import type { Run } from "./loop/run.ts";

/** Where a run was saved before its settings were changed. */
interface PlaceBefore {
  readonly engine: Engine;
  readonly directory: EngineTarget;
}

/** Where a run saves and is gone on from, as its settings say at the moment. */
export class RunPlaces {
  readonly #run: Run;
  readonly #policy: () => AutoSaver | undefined;
  #place: Promise<CheckpointPlace> | undefined;
  /** Where the place is, or was. */
  #placeDirectory: EngineTarget = ".";
  /** Where the run was looked for, when nothing is said of saving. */
  #directory: EngineTarget | undefined;
  /** Done when the place before is closed, which may hold a lock. */
  #placeBefore: Promise<PlaceBefore | undefined> = Promise.resolve(undefined);

  /** @param policy What is said of saving, if anything is. */
  constructor(run: Run, policy: () => AutoSaver | undefined) {
    this.#run = run;
    this.#policy = policy;
  }

  /** The run, its place, and what says when it is saved. @throws CairnError `storage_failed`; the next call looks again. */
  async target(): Promise<RestoreTarget> {
    const opening = this.#place ?? this.#openPlace();
    this.#place = opening;
    try {
      return { run: this.#run, place: await opening, policy: this.#policy() };
    } catch (error) {
      // The next call looks again: the directory may have been put right.
      if (this.#place === opening) this.#place = undefined;
      throw error;
    }
  }

  /**
   * Where a run is to be gone on from. Where nothing was said of saving, `directory` is from then on where it is: a later
   * `autoSave()` there goes on with the same run.
   */
  async lookIn(
    what: string,
    directory: EngineTarget | undefined,
  ): Promise<{ target: RestoreTarget; engine: Engine }> {
    const savePath = this.#policy()?.settings.savePath ?? this.#directory;
    if (directory === undefined && savePath === undefined) {
      const problem = this.#policy() === undefined
        ? "was not called"
        : "has no savePath, as saving is disabled";
      throw new TypeError(
        `${what}() looks in the directory of autoSave(), which ${problem}; call autoSave({ savePath: "checkpoints", interval: 1 }) ` +
          `first, or say where to look: ${what}({ directory: "checkpoints" })`,
      );
    }
    if (savePath === undefined || savePath === this.#directory) {
      if (directory !== undefined && directory !== savePath) this.leave();
      this.#directory = directory ?? savePath;
    }
    const target = await this.target();
    const { engine } = target.place;
    if (directory === undefined || directory === this.#directory || directory === savePath) {
      return { target, engine };
    }
    const other = await openEngine(directory);
    const isSame = isPath(directory) && isPath(savePath) && other.location === engine.location;
    return { target, engine: isSame ? engine : other };
  }

  async #openPlace(): Promise<CheckpointPlace> {
    const before = await this.#placeBefore;
    const { savePath = null, exclusive, onDiskFull } = this.#policy()?.settings ?? {};
    const directory = savePath ?? this.#directory ?? ".";
    const open = async (runId?: string): Promise<CheckpointPlace> => {
      return await CheckpointPlace.open(directory, {
        runId,
        exclusive,
        onDiskFull,
        best: () => this.#policy()?.settings.keep.best,
      });
    };
    const place = await open();
    this.#placeDirectory = directory;
    const isSame = before !== undefined && (before.directory === directory ||
      (isPath(before.directory) && isPath(directory) &&
        before.engine.location === place.engine.location));
    if (!isSame) return place;
    const { runId, resumedFrom } = before.engine;
    const again = await open(runId);
    if (resumedFrom !== undefined) again.continueRun(runId, resumedFrom);
    return again;
  }

  /** The next place may be in the same directory; then the run stays the same. */
  leave(): void {
    const place = this.#place;
    if (place === undefined) return;
    this.#place = undefined;
    this.#placeBefore = place.then(async (open) => {
      await open.close();
      return { engine: open.engine, directory: this.#placeDirectory };
    }).catch(() => undefined);
  }

  /** Waits for the save under way, and gives a lock back. */
  async close(): Promise<void> {
    await this.#placeBefore;
    await (await this.#place)?.close();
  }
}
