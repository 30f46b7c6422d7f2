import type { Clock } from "../../base/clock.ts";
import type { BackgroundSaver } from "../../checkpoint/background_saver.ts";
import { readCatalog } from "../../checkpoint/engine/catalog.ts";
import type { DiskShortage, OnDiskFull } from "../../checkpoint/engine/disk_space.ts";
import type { Engine } from "../../checkpoint/engine/engine.ts";
import { type EngineTarget, isPath } from "../../checkpoint/engine/engine_target.ts";
import { planRetention, type RetentionPolicy } from "../../checkpoint/keep/retention/retention.ts";
import { SaveTarget } from "../../checkpoint/save_target.ts";
import { withEnding } from "../../checkpoint/file/tags.ts";
import type { WriterLockOptions } from "../../checkpoint/engine/lock/writer_lock_options.ts";

/** A tag to save under. */
export interface FreeTag {
  readonly tag: string;
  /** Whether this run has a checkpoint of that tag, and it is to be replaced. */
  readonly overwrite: boolean;
}

/** Options of {@link RunDirectory.open}. An engine has its own, and takes none of them. */
export interface RunDirectoryOptions {
  /** The run that saves. A new one unless given. */
  readonly runId?: string | undefined;
  readonly exclusive?: boolean | WriterLockOptions | undefined;
  readonly onDiskFull?: OnDiskFull | undefined;
  /** What `evictOldest` must not delete, asked each time. */
  readonly best?: () => RetentionPolicy["best"];
  /** For the waits of `pause`. */
  readonly clock?: Clock | undefined;
}

/** Joins the engine, which is opened first, with the listener to shortages. */
interface Shortages {
  tell: (shortage: DiskShortage) => void;
}

/** The directory that a run saves into, and which names are taken there. */
export class RunDirectory {
  readonly engine: Engine;
  readonly saver: BackgroundSaver;
  /** What a save does for which there is no space. */
  readonly onDiskFull: OnDiskFull;
  readonly #target: SaveTarget;
  readonly #isExclusive: boolean;
  readonly #shortages: Shortages;
  /** What the names end with, since another run took one of them. */
  #suffix = "";
  /**
   * Tags by their lower case, as some file systems do not tell the cases apart; whether each is of this run.
   */
  #taken: Map<string, { readonly tag: string; readonly isOwn: boolean }> | undefined;

  private constructor(
    target: SaveTarget,
    engine: Engine,
    shortages: Shortages,
    { exclusive = false, onDiskFull = "error" }: RunDirectoryOptions,
  ) {
    this.#target = target;
    this.engine = engine;
    this.saver = target.saver;
    this.onDiskFull = onDiskFull;
    this.#shortages = shortages;
    this.#isExclusive = exclusive !== false;
  }

  static async open(target: EngineTarget, options: RunDirectoryOptions = {}): Promise<RunDirectory> {
    const { best, ...ofEngine } = options;
    const shortages: Shortages = { tell: () => {} };
    const saves: SaveTarget = new SaveTarget(target, {
      ...ofEngine,
      onDiskShortage: (shortage) => shortages.tell(shortage),
      mayEvict: async (tag) => !await isBest(engine, tag, best?.()),
    });
    const engine: Engine = await saves.engine;
    return new RunDirectory(saves, engine, shortages, isPath(target) ? options : {});
  }

  /** Has `listener` told of a disk with too little space, instead of any other. */
  onShortage(listener: (shortage: DiskShortage) => void): void {
    this.#shortages.tell = listener;
  }

  /** Goes on as the run that wrote `tag`, when it is known which one did. */
  continueRun(runId: string | undefined, tag: string): void {
    if (runId !== undefined) this.engine.continueRun(runId, tag);
    this.#taken = undefined;
  }

  /**
   * Lists what is there, and takes the lock if `exclusive`. To be called before {@link RunDirectory.freeTag}.
   *
   * @throws CairnError `locked` when another process writes there.
   */
  async survey(): Promise<void> {
    if (this.#isExclusive) await this.#lock();
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
   * `wanted`, or `wanted-v2` and so on where that name is taken: nothing of another run is replaced, nor a file that
   * cannot be read, nor a checkpoint of this run unless `mayReplace` says so.
   */
  async freeTag(
    wanted: string,
    mayReplace: (tag: string) => Promise<boolean> = () => Promise.resolve(false),
  ): Promise<FreeTag> {
    for (let version = 1;; version++) {
      const tag = withEnding(wanted, `${this.#suffix}${version === 1 ? "" : `-v${version}`}`);
      const found = this.#taken?.get(tag.toLowerCase());
      if (found === undefined) return { tag, overwrite: false };
      if (found.isOwn && found.tag === tag && await mayReplace(tag)) return { tag, overwrite: true };
    }
  }

  /** Remembers that this run has `tag` now, and that those of `deleted` are free. */
  claim(tag: string, deleted: readonly string[] = []): void {
    for (const gone of deleted) this.#taken?.delete(gone.toLowerCase());
    this.#taken?.set(tag.toLowerCase(), { tag, isOwn: true });
  }

  /**
   * Remembers that another run has `tag` by now. It saves at the same time and would go on taking names, so the names
   * of this run get their own ending, which is returned.
   */
  concede(tag: string): string {
    this.#taken?.set(tag.toLowerCase(), { tag, isOwn: false });
    this.#suffix = `-${this.engine.runId.slice(0, 8)}`;
    return this.#suffix;
  }

  /** Waits for the save under way, frees its memory, and gives the lock back. */
  async close(): Promise<void> {
    await this.#target.close();
  }

  /** An engine takes the lock of a directory when it begins a checkpoint there; this one is dropped again. */
  async #lock(): Promise<void> {
    await this.saver.latest?.settled();
    await this.engine.create("lock", { overwrite: true });
    await this.engine.abort();
  }
}

async function isBest(
  engine: Engine,
  tag: string,
  best: RetentionPolicy["best"],
): Promise<boolean> {
  if (best === undefined) return false;
  const { checkpoints } = engine.knownCatalog?.() ?? await readCatalog(engine);
  const newest = checkpoints.filter(({ runId }) => runId === engine.runId).at(-1)?.tag ?? tag;
  const plan = planRetention(checkpoints, { last: 1, best }, { runId: engine.runId, newest });
  return plan.some((decision) => decision.tag === tag && decision.keeps);
}
