import { checkOptions } from "../../base/options/options.ts";
import { CairnError } from "../../base/errors.ts";
import type { SavedBy } from "../../container/format/manifest.ts";
import type { WriteReport } from "../../container/write/container_writer.ts";
import type { Checkpoint } from "../file/checkpoint.ts";
import { commitFailed } from "../engine/commit_failed.ts";
import type { CheckpointFolder } from "../engine/checkpoint_folder.ts";
import type { CommitInfo } from "../engine/commit_info.ts";
import {
  type CommitReport,
  type Engine,
  type EngineCommitOptions,
  REMOVE_OPTIONS,
  type RemoveOptions,
  SAVE_OPTIONS,
  type SaveOptions,
} from "../engine/engine.ts";
import type { FrozenCheckpoint } from "../capture/frozen_checkpoint.ts";
import { SessionEngine, type Writing } from "../engine/session_engine.ts";
import { byAge, type Catalog, type CheckpointSummary, type SkippedCheckpoint } from "../engine/summary.ts";

/** An engine that could not do its part of a save, and why. */
export interface MemberFailure {
  /** The engine that failed. */
  readonly engine: Engine;
  /** Why it failed. */
  readonly error: CairnError;
}

/** A checkpoint that is being made by several engines. */
export interface GroupSave {
  /** Which checkpoint. */
  readonly info: CommitInfo;
  /** Whether one of that tag may be replaced. */
  readonly overwrite: boolean;
  /** Those that have done their part so far. */
  readonly members: Engine[];
  /** Those that could not do their part. */
  readonly failures: MemberFailure[];
}

/** An error of the caller, or one that every engine would have: another engine does not help. */
const REFUSALS: ReadonlySet<string> = new Set([
  "invalid_tag",
  "already_exists",
  "commit_failed",
  "locked",
  "closed",
]);

/**
 * Several engines that keep the same checkpoints: what mirrors and tiers have in common. One state is frozen and
 * written to one engine after the other; who has to succeed is decided by the subclass.
 */
export abstract class EngineGroup extends SessionEngine {
  /** All of them, in the order in which they were given. */
  readonly engines: readonly Engine[];

  /** A group of engines of one run, none of them decoupled; else that is a `TypeError`. */
  constructor(engines: readonly Engine[]) {
    super(SAVE_OPTIONS);
    const [first] = engines;
    if (first === undefined) throw new TypeError("A group of engines needs at least one");
    for (const engine of engines) {
      if (engine.runId !== first.runId) {
        throw new TypeError("The engines have different run ids; open all of them with the same runId");
      }
      if (engine.isDecoupled()) {
        throw new TypeError(
          `The engine "${engine.name}" is decoupled; put synchronous ones together and wrap the whole in a DecoupledEngine`,
        );
      }
    }
    this.engines = [...engines];
  }

  /** The engine beside whose checkpoints leases and marks lie, and whose paths name the checkpoints. */
  abstract get inner(): Engine;
  /**
   * Who takes part in the save that begins.
   *
   * @internal
   */
  protected abstract participants(): readonly Engine[];
  /**
   * Says whether the save can still count.
   *
   * @throws CairnError when a save with these failures cannot count any more.
   *
   * @internal
   */
  protected abstract requireEnough(save: GroupSave, op: string): void;
  /**
   * Commits what is saved. What has failed by then is in `save.failures`.
   *
   * @internal
   */
  protected abstract commitMembers(save: GroupSave, options: EngineCommitOptions): Promise<CommitReport>;
  /**
   * Ways to open the checkpoint, the best one first.
   *
   * @internal
   */
  protected abstract copiesOf(
    tag: string,
    signal: AbortSignal | undefined,
  ): Promise<(() => Promise<Checkpoint>)[]>;

  /**
   * `savedBy` where nothing else says it.
   *
   * @internal
   */
  protected savedByAt(_engine: Engine): SavedBy | undefined {
    return undefined;
  }

  get runId(): string {
    return this.inner.runId;
  }

  get resumedFrom(): string | undefined {
    return this.inner.resumedFrom;
  }

  /** The best copy. When a byte of it turns out to be damaged, `verify` goes on with the next one. */
  protected async open(tag: string, signal: AbortSignal | undefined): Promise<Checkpoint> {
    const copies = await this.copiesOf(tag, signal);
    let failure: unknown;
    for (const [index, open] of copies.entries()) {
      try {
        return (await open()).withCopies(copies.slice(index + 1));
      } catch (error) {
        if (!(error instanceof CairnError)) throw error;
        // `not_found` says less than an error of a copy that is there.
        if (failure === undefined || error.code !== "not_found") failure = error;
      }
    }
    throw failure;
  }

  async list(): Promise<string[]> {
    const tags = new Set<string>();
    const failures: unknown[] = [];
    for (const engine of this.engines) {
      try {
        for (const tag of await engine.list()) tags.add(tag);
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length === this.engines.length) throw failures[0];
    return [...tags].sort();
  }

  /** Removes all copies. When an engine cannot be reached, its copy stays, and its error is thrown. */
  async remove(tag: string, options: RemoveOptions = {}): Promise<void> {
    const { confirm } = checkOptions("remove()", options, REMOVE_OPTIONS);
    let mayGo = true;
    let removed = 0;
    let failure: unknown;
    for (const engine of this.#innerFirst) {
      if (!mayGo) return;
      try {
        // Each copy is a file of its own.
        const copy = engine.knownCatalog?.()?.checkpoints.find((each) => each.tag === tag);
        await engine.remove(tag, {
          confirm: confirm === undefined ? undefined : async () => mayGo = await confirm(),
          fileId: options.fileId === undefined ? undefined : copy?.fileId,
        });
        removed++;
      } catch (error) {
        if (!(error instanceof CairnError)) throw error;
        if (failure === undefined || error.code !== "not_found") failure = error;
      }
    }
    const isMissing = failure instanceof CairnError && failure.code === "not_found";
    if (failure !== undefined && !(isMissing && removed > 0)) throw failure;
  }

  /** Of each checkpoint the copy that was committed last. */
  knownCatalog(): Catalog | undefined {
    const newest = new Map<string, CheckpointSummary>();
    const unreadable: SkippedCheckpoint[] = [];
    for (const engine of this.engines) {
      const known = engine.knownCatalog?.();
      if (known === undefined) return undefined;
      for (const copy of known.checkpoints) {
        const other = newest.get(copy.tag);
        if (other === undefined || byAge(other, copy) < 0) newest.set(copy.tag, copy);
      }
      unreadable.push(...known.unreadable);
    }
    return {
      checkpoints: [...newest.values()].sort(byAge),
      unreadable: unreadable.filter(({ tag }) => !newest.has(tag)),
    };
  }

  get location(): string {
    return this.inner.location;
  }

  get folders(): readonly CheckpointFolder[] {
    return this.#innerFirst.flatMap(({ folders }) => folders);
  }

  pathOf(tag: string): string {
    return this.inner.pathOf(tag);
  }

  continueRun(runId: string, tag: string): void {
    for (const engine of this.engines) engine.continueRun(runId, tag);
  }

  override async cleanup(): Promise<void> {
    await super.cleanup();
    for (const engine of this.engines) await engine.cleanup();
  }

  protected override get locations(): readonly string[] {
    return this.engines.map(({ location }) => location);
  }

  protected pathsTo({ tag }: CommitInfo): readonly string[] {
    return this.engines.map((engine) => engine.pathOf(tag));
  }

  get #innerFirst(): Engine[] {
    return [...new Set([this.inner, ...this.engines])];
  }

  protected async begin(info: CommitInfo, overwrite: boolean): Promise<Writing> {
    const participants = this.participants();
    const save: GroupSave = { info, overwrite, members: [], failures: [] };
    if (!overwrite) await this.#refuseTaken(info, participants);
    try {
      await this.#each(save, participants, "create", (engine) => engine.create(info, { overwrite }));
    } catch (error) {
      await this.#abortAll();
      throw error;
    }
    return this.#writing(save);
  }

  #writing(save: GroupSave): Writing {
    return {
      write: (frozen, options) => this.#write(save, frozen, options),
      commit: async (options) => {
        const report = await this.commitMembers(save, options);
        await this.#abortAll();
        return report;
      },
      abort: () => this.#abortAll(),
    };
  }

  async #write(save: GroupSave, frozen: FrozenCheckpoint, options: SaveOptions): Promise<WriteReport> {
    const members = save.members.splice(0);
    let report: WriteReport | undefined;
    await this.#each(save, members, "save", async (engine) => {
      const savedBy = options.savedBy ?? this.savedByAt(engine);
      const part = partOf(options, members.indexOf(engine), members.length);
      const written = await engine.save(frozen, undefined, { ...part, savedBy });
      report = written ?? report;
    });
    if (report === undefined) throw commitFailed(save.info, "no engine said what it had written", "save");
    return report;
  }

  async #abortAll(): Promise<void> {
    for (const engine of this.engines) await engine.abort();
  }

  /** Does one part of a save with each engine, and keeps those that managed. @throws when too few do. */
  async #each(
    save: GroupSave,
    engines: readonly Engine[],
    op: string,
    work: (engine: Engine) => Promise<void>,
  ): Promise<void> {
    for (const engine of engines) {
      try {
        await work(engine);
        save.members.push(engine);
      } catch (error) {
        if (!(error instanceof CairnError) || REFUSALS.has(error.code)) throw error;
        save.failures.push({ engine, error });
        await engine.abort();
      }
    }
    this.requireEnough(save, op);
  }

  /**
   * A tag counts as taken also where only engines have it that do not take part this time. They are asked only where
   * they do not know from their last save.
   */
  async #refuseTaken({ tag }: CommitInfo, participants: readonly Engine[]): Promise<void> {
    for (const engine of this.engines) {
      if (participants.includes(engine)) continue;
      const known = engine.knownCatalog?.();
      const tags = known === undefined
        ? await engine.list().catch((): string[] => [])
        : [...known.checkpoints, ...known.unreadable].map((each) => each.tag);
      if (!tags.some((other) => other.toLowerCase() === tag.toLowerCase())) continue;
      const path = engine.pathOf(tag);
      throw new CairnError(
        "already_exists",
        `Cannot create checkpoint "${tag}": "${path}" exists already; choose another tag, or pass overwrite to replace it`,
        { details: { op: "create", tag, path } },
      );
    }
  }
}

/** The options for one of several engines that write one after the other: the progress goes on over all of them. */
function partOf({ signal, onProgress }: SaveOptions, index: number, count: number): SaveOptions {
  return {
    signal,
    onProgress: ({ done, total }) => onProgress?.({ done: index * total + done, total: count * total }),
  };
}
