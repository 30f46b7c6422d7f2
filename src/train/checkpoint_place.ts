import { BackgroundSaver } from "../checkpoint/background_saver.ts";
import { readCatalog } from "../checkpoint/catalog.ts";
import type { Engine } from "../checkpoint/engine.ts";
import type { EngineTarget } from "../checkpoint/open_engine.ts";
import { FileEngine } from "../checkpoint/file_engine.ts";

/** A tag to save under. */
export interface FreeTag {
  readonly tag: string;
  /** Whether this run has a checkpoint of that tag, which is replaced. */
  readonly overwrite: boolean;
}

/** Where a run saves, and which names are taken there. */
export class CheckpointPlace {
  readonly engine: Engine;
  readonly saver: BackgroundSaver;
  /**
   * Tags by their lower case, as some file systems do not tell the cases apart; whether each is of this run.
   */
  #taken: Map<string, { readonly tag: string; readonly isOwn: boolean }> | undefined;

  private constructor(engine: Engine) {
    this.engine = engine;
    this.saver = new BackgroundSaver(engine);
  }

  /** @param runId The run that saves, unless `target` is an engine, which has its own. */
  static async open(target: EngineTarget, runId?: string): Promise<CheckpointPlace> {
    if (typeof target !== "string" && !(target instanceof URL)) return new CheckpointPlace(target);
    return new CheckpointPlace(await FileEngine.open(target, runId === undefined ? {} : { runId }));
  }

  /** Goes on as the run that wrote `tag`, when it is known which one did. */
  continueRun(runId: string | undefined, tag: string): void {
    if (runId !== undefined) this.engine.continueRun(runId, tag);
    this.#taken = undefined;
  }

  /** Looks at what is there. To be called before {@link CheckpointPlace.freeTag}. */
  async survey(): Promise<void> {
    const { checkpoints, unreadable } = await readCatalog(this.engine);
    this.#taken = new Map();
    for (const { tag } of unreadable) this.#taken.set(tag.toLowerCase(), { tag, isOwn: false });
    for (const { tag, runId } of checkpoints) {
      this.#taken.set(tag.toLowerCase(), { tag, isOwn: runId === this.engine.runId });
    }
  }

  /** Whether anything that looks like a checkpoint is there. */
  async isEmpty(): Promise<boolean> {
    return (await this.engine.list()).length === 0;
  }

  /**
   * `wanted`, or `wanted-v2` and so on where another run, or a file that cannot be read, has that name:
   * nothing of theirs is replaced.
   */
  freeTag(wanted: string): FreeTag {
    for (let version = 1;; version++) {
      const tag = version === 1 ? wanted : `${wanted}-v${version}`;
      const found = this.#taken?.get(tag.toLowerCase());
      if (found === undefined) return { tag, overwrite: false };
      if (found.isOwn && found.tag === tag) return { tag, overwrite: true };
    }
  }

  /** Remembers that this run has `tag` now. */
  claim(tag: string): void {
    this.#taken?.set(tag.toLowerCase(), { tag, isOwn: true });
  }

  /** Remembers that another run has `tag` by now. */
  concede(tag: string): void {
    this.#taken?.set(tag.toLowerCase(), { tag, isOwn: false });
  }

  /** Waits for the save under way and frees its memory. */
  async close(): Promise<void> {
    await this.saver.close();
  }
}
