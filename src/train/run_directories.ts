import type { Engine } from "../checkpoint/engine/engine.ts";
import { type EngineTarget, isPath } from "../checkpoint/engine/engine_target.ts";
import type { AutoSaveSettings } from "./saves/auto_save_options.ts";
import type { AutoSaver } from "./saves/auto_saver.ts";
import type { RunDirectory } from "./saves/run_directory.ts";
import type { RestoreTarget } from "./restore.ts";
import type { Run } from "./loop/run.ts";

/** Where a run was saved before its settings were changed. */
interface DirectoryBefore {
  readonly engine: Engine;
  readonly directory: EngineTarget;
}

/** The directory that a run saves into and resumes from, as its settings say at the moment. */
export class RunDirectories {
  readonly #run: Run;
  readonly #autoSaver: () => AutoSaver | undefined;
  #runDirectory: Promise<RunDirectory> | undefined;
  /** Where the directory is, or was. */
  #openTarget: EngineTarget = ".";
  /** Where the run was looked for, when saving is not set up. */
  #directory: EngineTarget | undefined;
  /** Done when the last directory is closed, which may hold a lock. */
  #before: Promise<DirectoryBefore | undefined> = Promise.resolve(undefined);

  /** @param autoSaver The settings of saving, if there are any. */
  constructor(run: Run, autoSaver: () => AutoSaver | undefined) {
    this.#run = run;
    this.#autoSaver = autoSaver;
  }

  /** Whether it is known where the run is saved: otherwise there is nothing of it to be found. */
  get isKnown(): boolean {
    return (this.#autoSaver()?.settings.savePath ?? this.#directory) !== undefined;
  }

  /** The run, its directory, and when it is saved. @throws CairnError `storage_failed`; the next call looks again. */
  async target(): Promise<RestoreTarget> {
    const opening = this.#runDirectory ?? this.#open();
    this.#runDirectory = opening;
    try {
      return { run: this.#run, runDirectory: await opening, autoSaver: this.#autoSaver() };
    } catch (error) {
      // The next call looks again: the directory may have been put right.
      if (this.#runDirectory === opening) this.#runDirectory = undefined;
      throw error;
    }
  }

  /**
   * Where a run resumes from. Without `autoSave`, `directory` is from then on the run's directory: a later
   * `autoSave()` there goes on with the same run.
   */
  async lookIn(
    what: string,
    directory: EngineTarget | undefined,
  ): Promise<{ target: RestoreTarget; engine: Engine }> {
    const savePath = this.#autoSaver()?.settings.savePath ?? this.#directory;
    if (directory === undefined && savePath === undefined) {
      const problem = this.#autoSaver() === undefined
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
    const { engine } = target.runDirectory;
    if (directory === undefined || directory === this.#directory || directory === savePath) {
      return { target, engine };
    }
    const { openEngine } = await import("../checkpoint/engine/open_engine.ts");
    const other = await openEngine(directory);
    const isSame = isPath(directory) && isPath(savePath) && other.location === engine.location;
    return { target, engine: isSame ? engine : other };
  }

  async #open(): Promise<RunDirectory> {
    const before = await this.#before;
    const { RunDirectory } = await import("./saves/run_directory.ts");
    const { savePath = null, exclusive, onDiskFull } = this.#autoSaver()?.settings ?? {};
    const directory = savePath ?? this.#directory ?? ".";
    const open = async (runId?: string): Promise<RunDirectory> => {
      return await RunDirectory.open(directory, {
        runId,
        exclusive,
        onDiskFull,
        best: () => this.#autoSaver()?.settings.keep.best,
      });
    };
    const runDirectory = await open();
    this.#openTarget = directory;
    const isSame = before !== undefined && (before.directory === directory ||
      (isPath(before.directory) && isPath(directory) &&
        before.engine.location === runDirectory.engine.location));
    if (!isSame) return runDirectory;
    const { runId, resumedFrom } = before.engine;
    const again = await open(runId);
    if (resumedFrom !== undefined) again.continueRun(runId, resumedFrom);
    return again;
  }

  /** Leaves the directory where the settings of automatic saving name another one, or open it otherwise. */
  follow(before: AutoSaveSettings | undefined, { savePath, exclusive, onDiskFull }: AutoSaveSettings): void {
    const isSame = savePath === before?.savePath && exclusive === before?.exclusive &&
      onDiskFull === before?.onDiskFull;
    if (!isSame) this.leave();
  }

  /** The next directory may be the same one; then the run stays the same. */
  leave(): void {
    const runDirectory = this.#runDirectory;
    if (runDirectory === undefined) return;
    this.#runDirectory = undefined;
    this.#before = runDirectory.then(async (open) => {
      await open.close();
      return { engine: open.engine, directory: this.#openTarget };
    }).catch(() => undefined);
  }

  /** Waits for the save under way, and gives a lock back. */
  async close(): Promise<void> {
    await this.#before;
    await (await this.#runDirectory)?.close();
  }
}
