import { requireAwaited } from "../../base/options/kind_of.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { CairnError } from "../../base/errors.ts";
import type { SavedBy } from "../../container/format/manifest.ts";
import type { Checkpoint } from "../file/checkpoint.ts";
import type { CommitReport, Engine, EngineCommitOptions } from "../engine/engine.ts";
import { EngineGroup, type GroupSave } from "./engine_group.ts";
import { checkRetentionPolicy, retain, type RetentionPolicy } from "../keep/retention/retention.ts";

/** One of the engines of a {@link TieredEngine}. */
export interface Tier {
  /** Where it writes. */
  readonly engine: Engine;
  /** It takes the first save and then every Nth. Default 1. */
  readonly every?: number | undefined;
  /** What this tier deletes after each of its own saves. Nothing unless given. */
  readonly keep?: RetentionPolicy | undefined;
}

/** Every option of {@link Tier}. */
export const TIER: OptionNames<Tier> = { engine: true, every: true, keep: true };

/**
 * Keeps checkpoints in tiers, the fastest first: memory at every save, the disk at each tenth. A load takes the first
 * tier that has the checkpoint, and the next one when that is damaged.
 *
 * The deepest tier that takes part in a save is committed first, and the save fails when that one does: what was
 * meant for the disk is never in memory alone. A tier above it that fails is a warning. A save that is not the disk's
 * turn is as durable as the memory that it is in, and gone with the process. Follows Nebula's tiers in DeepSpeed.
 *
 * @example
 * ```ts
 * const disk = await FileEngine.open("checkpoints");
 * const memory = await FileEngine.open(new MemoryStorage(), { runId: disk.runId });
 * const engine = new TieredEngine([{ engine: memory, keep: { last: 2 } }, { engine: disk, every: 10 }]);
 * ```
 */
export class TieredEngine extends EngineGroup {
  /** The fastest first. */
  readonly tiers: readonly Tier[];
  #commits = 0;

  /**
   * An engine over these tiers.
   *
   * @param tiers The fastest first, which takes part in every save. All of one run.
   */
  constructor(tiers: readonly Tier[]) {
    super(tiers.map(engineOf));
    for (const [index, { every = 1 }] of tiers.entries()) {
      const isFine = index === 0 ? every === 1 : Number.isSafeInteger(every) && every >= 1;
      if (!isFine) {
        const expected = index === 0 ? "1, as the first tier takes every save" : "an integer from 1";
        throw new RangeError(`every of tier ${index} is ${every}, expected ${expected}`);
      }
    }
    this.tiers = [...tiers];
  }

  get name(): string {
    return `tiers ${this.engines.map(({ name }) => name).join(", ")}`;
  }

  get inner(): Engine {
    const deepest = this.engines.at(-1);
    if (deepest === undefined) throw new TypeError("There is at least one tier");
    return deepest;
  }

  /** @internal */
  protected participants(): readonly Engine[] {
    // A save that failed does not count, so that the next one goes where it should have gone.
    return this.tiers.filter(({ every = 1 }) => this.#commits % every === 0).map(({ engine }) => engine);
  }

  /** @internal */
  protected override savedByAt(engine: Engine): SavedBy | undefined {
    return this.tiers.find((tier) => tier.engine === engine)?.keep === undefined ? undefined : "auto";
  }

  /** @internal */
  protected requireEnough({ failures }: GroupSave): void {
    const [first] = failures;
    if (first !== undefined) throw first.error;
  }

  /** @internal */
  protected async commitMembers(save: GroupSave, options: EngineCommitOptions): Promise<CommitReport> {
    const [deepest, ...others] = [...save.members].reverse();
    if (deepest === undefined) {
      throw new CairnError("commit_failed", `Cannot commit ${save.info}: no tier took it`);
    }
    const report = await deepest.commit(save.info, options);
    this.#commits++;
    const warnings = [...report.warnings];
    for (const engine of others) {
      await collect(warnings, async () => {
        warnings.push(...(await engine.commit(save.info)).warnings);
      });
    }
    for (const { engine, keep } of this.tiers) {
      if (keep === undefined || !save.members.includes(engine)) continue;
      await collect(warnings, async () => {
        warnings.push(...(await retain(engine, report.tag, keep)).warnings);
      });
    }
    return { ...report, warnings };
  }

  /** @internal */
  protected copiesOf(tag: string, signal: AbortSignal | undefined): Promise<(() => Promise<Checkpoint>)[]> {
    return Promise.resolve(this.engines.map((engine) => () => engine.load(tag, { signal })));
  }
}

function engineOf(tier: Tier): Engine {
  const { engine, keep } = checkOptions("A tier", tier, TIER, "{ engine, every: 10 }");
  requireAwaited("The engine of a tier", engine, "FileEngine.open(…)");
  if (keep !== undefined) checkRetentionPolicy(keep);
  return engine;
}

/** The checkpoint is durable by now; what fails here does not change that. */
async function collect(warnings: CairnError[], work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof CairnError)) throw error;
    warnings.push(error);
  }
}
