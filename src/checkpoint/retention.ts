import { CairnError } from "../base/errors.ts";
import { type CheckpointSummary, readCatalog } from "./catalog.ts";
import type { Engine } from "./engine.ts";

/** Which checkpoints to keep when a new one is durable. What neither field asks for is deleted. */
export interface RetentionPolicy {
  /** The newest so many of this run, at least 1. All of them unless given. */
  readonly last?: number;
  /** And the one whose metric is the best. NaN and a missing metric are never the best. */
  readonly best?: { readonly metric: string; readonly direction: "min" | "max" };
  /**
   * A tag of this run that the new checkpoint takes the place of. It goes even if the run was resumed from it, which
   * otherwise protects a checkpoint.
   */
  readonly replaces?: string;
}

/** What a plan depends on besides the policy. */
export interface RetentionContext {
  readonly runId: string;
  /** The checkpoint that was just committed. */
  readonly newest: string;
  readonly resumedFrom?: string | undefined;
}

/** What happens to one checkpoint, and why. */
export interface RetentionDecision {
  readonly tag: string;
  readonly keeps: boolean;
  readonly reason: string;
}

/** What {@link retain} did. */
export interface RetentionReport {
  readonly deleted: readonly string[];
  readonly decisions: readonly RetentionDecision[];
  /** Deletions that failed; those checkpoints are still there. */
  readonly warnings: readonly CairnError[];
}

/**
 * Decides about each checkpoint. Pure: the same input gives the same plan. Only checkpoints of the same run are ever deleted, never
 * the one just committed, never the best, and never the one the run was resumed from unless it was replaced.
 *
 * @param checkpoints Oldest first, and only such as could be opened: what cannot be parsed is not ours to delete.
 * @throws RangeError for a `last` below 1.
 */
export function planRetention(
  checkpoints: readonly CheckpointSummary[],
  policy: RetentionPolicy,
  context: RetentionContext,
): RetentionDecision[] {
  const { last, best, replaces } = policy;
  if (last !== undefined && (!Number.isInteger(last) || last < 1)) {
    throw new RangeError(`Retention keeps the last ${last} checkpoints; expected an integer from 1`);
  }
  const own = checkpoints.filter(({ runId }) => runId === context.runId);
  const newestFirst = [
    context.newest,
    ...own.map(({ tag }) => tag).filter((tag) => tag !== context.newest).reverse(),
  ];
  const lastOnes = new Set(newestFirst.slice(0, last ?? newestFirst.length));
  const bestTag = best === undefined ? undefined : bestOf(own, best.metric, best.direction);
  return checkpoints.map(({ tag, runId }): RetentionDecision => {
    const keep = (reason: string): RetentionDecision => ({ tag, keeps: true, reason });
    if (runId !== context.runId) return keep("it belongs to another run");
    if (tag === context.newest) return keep("it is the newest");
    if (tag === bestTag) return keep(`it has the best ${best?.metric}`);
    if (tag === replaces) return { tag, keeps: false, reason: "the newest takes its place" };
    if (tag === context.resumedFrom) return keep("the run was resumed from it");
    if (lastOnes.has(tag)) return keep(last === undefined ? "all are kept" : `it is one of the last ${last}`);
    return { tag, keeps: false, reason: `it is not one of the last ${last}` };
  });
}

/** Carries out a plan. Call it after the new checkpoint is durable, and never before. */
export async function retain(
  engine: Engine,
  newest: string,
  policy: RetentionPolicy,
): Promise<RetentionReport> {
  const { checkpoints } = await readCatalog(engine);
  const context = { runId: engine.runId, newest, resumedFrom: engine.resumedFrom };
  const decisions = planRetention(checkpoints, policy, context);
  const deleted: string[] = [];
  const warnings: CairnError[] = [];
  for (const { tag, keeps } of decisions) {
    if (keeps) continue;
    try {
      await engine.remove(tag);
      deleted.push(tag);
    } catch (error) {
      if (!(error instanceof CairnError)) throw error;
      if (error.code !== "not_found") warnings.push(error);
    }
  }
  return { deleted, decisions, warnings };
}

/** The newest of those with the best value. */
function bestOf(
  checkpoints: readonly CheckpointSummary[],
  metric: string,
  direction: "min" | "max",
): string | undefined {
  let best: { tag: string; value: number } | undefined;
  for (const { tag, metrics } of checkpoints) {
    const value = Object.hasOwn(metrics, metric) ? metrics[metric] : undefined;
    if (value === undefined || Number.isNaN(value)) continue;
    const isBetter = best === undefined || (direction === "min" ? value <= best.value : value >= best.value);
    if (isBetter) best = { tag, value };
  }
  return best?.tag;
}
