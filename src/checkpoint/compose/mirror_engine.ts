import { requireAwaited } from "../../base/options/kind_of.ts";
import { checkOptions, type OptionNames, pickOptions } from "../../base/options/options.ts";
import { CairnError } from "../../base/errors.ts";
import type { Provenance } from "../../container/format/manifest.ts";
import type { Storage } from "../../storage/storage.ts";
import { byAge } from "../engine/summary.ts";
import type { Checkpoint } from "../file/checkpoint.ts";
import type { CommitReport, Engine, EngineCommitOptions } from "../engine/engine.ts";
import { EngineGroup, type GroupSave } from "./engine_group.ts";
import { FileEngine } from "../engine/file_engine.ts";
import { FILE_ENGINE_OPTIONS, type FileEngineOptions } from "../engine/file_engine_options.ts";

/** Options of {@link MirrorEngine}. */
export interface MirrorOptions {
  /** How many copies have to be committed for a save to count. All of them unless given. */
  readonly quorum?: number | undefined;
}

/** Every option of {@link MirrorOptions}. */
export const MIRROR_OPTIONS: OptionNames<MirrorOptions> = { quorum: true };

/**
 * Keeps each checkpoint with several engines. A save counts when a quorum of them committed; the report's warnings
 * name those that did not. Without a quorum the save fails and its copies are removed again. A load takes the newest
 * copy, and another one when that is missing or damaged.
 *
 * After an overwrite that failed, an engine that had replaced its copy already keeps the new one.
 */
export class MirrorEngine extends EngineGroup {
  /** How many copies a save needs; all of them unless it was given. */
  readonly quorum: number;

  /**
   * A mirror over these engines.
   *
   * @param engines Of one run: open them with the same `runId`, or use {@link open}.
   */
  constructor(engines: readonly Engine[], options: MirrorOptions = {}) {
    for (const engine of engines) requireAwaited("An engine of a mirror", engine, "FileEngine.open(…)");
    super(engines);
    checkOptions("MirrorEngine()", options, MIRROR_OPTIONS, "{ quorum: 2 }");
    this.quorum = options.quorum ?? engines.length;
    if (!Number.isInteger(this.quorum) || this.quorum < 1 || this.quorum > engines.length) {
      throw new RangeError(`quorum is ${this.quorum}, expected an integer from 1 to ${engines.length}`);
    }
  }

  /** Mirrors over directories and storages. */
  static async open(
    locations: readonly (string | URL | Storage)[],
    options: MirrorOptions & FileEngineOptions = {},
  ): Promise<MirrorEngine> {
    checkOptions("MirrorEngine.open()", options, { ...MIRROR_OPTIONS, ...FILE_ENGINE_OPTIONS });
    const ofEngines = pickOptions<FileEngineOptions>(options, FILE_ENGINE_OPTIONS);
    const engines: FileEngine[] = [];
    for (const location of locations) {
      const runId = engines[0]?.runId ?? options.runId;
      engines.push(await FileEngine.open(location, { ...ofEngines, runId }));
    }
    return new MirrorEngine(engines, pickOptions<MirrorOptions>(options, MIRROR_OPTIONS));
  }

  get name(): string {
    return `mirror of ${this.engines.map(({ name }) => name).join(", ")}`;
  }

  get inner(): Engine {
    const [first] = this.engines;
    if (first === undefined) throw new TypeError("A mirror has at least one engine");
    return first;
  }

  /** @internal */
  protected participants(): readonly Engine[] {
    return this.engines;
  }

  /** @internal */
  protected requireEnough({ members, failures, info }: GroupSave, op: string): void {
    if (members.length >= this.quorum) return;
    const [first] = failures;
    // Where no other outcome was possible, the error itself is thrown.
    if (failures.length === this.engines.length && first !== undefined) throw first.error;
    const reasons = failures.map(({ error }) => error.message).join("; ");
    throw new CairnError(
      "commit_failed",
      `Cannot ${op} ${info}: ${members.length} of ${this.engines.length} copies succeeded, ${this.quorum} are needed: ${reasons}`,
      { details: { op, tag: info.tag, limit: this.quorum, value: members.length }, cause: first?.error },
    );
  }

  /** @internal */
  protected async commitMembers(save: GroupSave, options: EngineCommitOptions): Promise<CommitReport> {
    const { info, members, failures, overwrite } = save;
    const reports: CommitReport[] = [];
    const committed: Engine[] = [];
    for (const engine of members.splice(0)) {
      try {
        // From the first copy that is published on, success wins over an abort.
        const rest = { verify: options.verify };
        reports.push(await engine.commit(info, reports.length === 0 ? options : rest));
        committed.push(engine);
        members.push(engine);
      } catch (error) {
        if (!(error instanceof CairnError)) throw error;
        failures.push({ engine, error });
      }
    }
    const [report] = reports;
    if (report === undefined || members.length < this.quorum) {
      if (!overwrite) { for (const engine of committed) await engine.remove(info.tag).catch(() => {}); }
      this.requireEnough(save, "commit");
    }
    if (report === undefined) {
      throw new CairnError("commit_failed", `Cannot commit ${info}: no copy was made`);
    }
    const warnings = [...failures.map(({ error }) => error), ...reports.flatMap(({ warnings }) => warnings)];
    return { ...report, isVerified: reports.every(({ isVerified }) => isVerified), warnings };
  }

  /** @internal */
  protected async copiesOf(
    tag: string,
    signal: AbortSignal | undefined,
  ): Promise<(() => Promise<Checkpoint>)[]> {
    const found: { open: () => Promise<Checkpoint>; age: Pick<Provenance, "order" | "createdAt"> }[] = [];
    for (const engine of this.engines) {
      const open = (): Promise<Checkpoint> => engine.load(tag, { signal });
      try {
        const checkpoint = await open();
        found.push({ open, age: checkpoint.provenance });
        await checkpoint.close();
      } catch (error) {
        if (!(error instanceof CairnError)) throw error;
        found.push({ open, age: {} });
      }
    }
    // One that cannot be opened is tried last, for its error.
    return found.sort((a, b) => byAge({ ...b.age, tag }, { ...a.age, tag })).map(({ open }) => open);
  }
}
