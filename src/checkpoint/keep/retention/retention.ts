import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { CairnError } from "../../../base/errors.ts";
import { type CheckpointSummary, readCatalog } from "../../engine/catalog.ts";
import type { Engine } from "../../engine/engine.ts";
import { removeMarks } from "../evaluators/done_marks.ts";
import { type LeaseSurvey, removeDeadLeases, surveyLeases } from "../evaluators/lease.ts";
import { LoadFailures } from "../load_failures.ts";
import { lastN } from "./by_count.ts";
import { bestN } from "./by_metric.ts";
import { RANKED_METRIC } from "./metric_direction.ts";
import type { RetentionCandidate, RetentionRule } from "./rule.ts";
import { unmarked, untouchedBecause } from "../../engine/untouched.ts";

/** Which checkpoints to keep when a new one is durable. What none of the fields asks for is deleted. */
export interface RetentionPolicy {
  /** The newest so many of this run, at least 1. All of them unless this or `rule` is given. */
  readonly last?: number | undefined;
  /** And the one whose metric is the best. A value that is not finite is never the best, nor a missing one. */
  readonly best?: { readonly metric: string; readonly direction: "min" | "max" } | undefined;
  /** And what this keeps; `keep.anyOf(keep.everyNSteps(1000), keep.bestN(3, "val_loss"))`. */
  readonly rule?: RetentionRule | undefined;
  /**
   * A tag of this run that the new checkpoint takes the place of. It goes even if the run was resumed from it, which
   * otherwise protects a checkpoint.
   */
  readonly replaces?: string | undefined;
}

/** Every option of {@link RetentionPolicy}. */
export const RETENTION_POLICY: OptionNames<RetentionPolicy> = {
  last: true,
  best: true,
  rule: true,
  replaces: true,
};

/** @throws TypeError for an unknown field. */
export function checkRetentionPolicy(policy: RetentionPolicy): void {
  checkOptions("keep", policy, RETENTION_POLICY, "{ last: 3 }");
  const { best } = policy;
  if (best !== undefined) {
    checkOptions("keep.best", best, RANKED_METRIC, '{ metric: "val_loss", direction: "min" }');
  }
}

/** What a plan depends on besides the policy. */
export interface RetentionContext {
  /** Only checkpoints of this run are ever deleted. */
  readonly runId: string;
  /** The checkpoint that was just committed. */
  readonly newest: string;
  /** The tag that the run went on from, which stays. */
  readonly resumedFrom?: string | undefined;
  /** Tags that are being read, each with its reader. */
  readonly leased?: ReadonlyMap<string, string>;
}

/** What happens to one checkpoint, and why. */
export interface RetentionDecision {
  /** Which checkpoint. */
  readonly tag: string;
  /** Whether it stays. */
  readonly keeps: boolean;
  /** Why, in words: `one of the last 3`. */
  readonly reason: string;
}

/** Options of {@link retain}. */
export interface RetainOptions {
  /** Decide and delete nothing. Default false. */
  readonly dryRun?: boolean | undefined;
  /** The clock that leases are measured by, in milliseconds since 1970. */
  readonly now?: (() => number) | undefined;
}

/** Every option of {@link RetainOptions}. */
export const RETAIN_OPTIONS: OptionNames<RetainOptions> = { dryRun: true, now: true };

/** What {@link retain} did. */
export interface RetentionReport {
  /** Tags of the checkpoints that are gone. */
  readonly deleted: readonly string[];
  /** About every checkpoint, oldest first. */
  readonly decisions: readonly RetentionDecision[];
  /** Deletions that failed; those checkpoints are still there. */
  readonly warnings: readonly CairnError[];
}

/**
 * Decides about each checkpoint. Pure: the same input gives the same plan. Only checkpoints that the same run saved
 * automatically are ever deleted, and only under the name that they were saved under: what the user asked for, a copy
 * under another name, and a file that does not say who saved it stay, and do not count. Of the others never the one
 * just committed, never the best, never one that is leased, and never the one the run was resumed from unless it was
 * replaced.
 *
 * @param checkpoints Oldest first, and only such as could be opened: what cannot be parsed is never deleted.
 * @throws RangeError for a `last` below 1.
 */
export function planRetention(
  checkpoints: readonly CheckpointSummary[],
  policy: RetentionPolicy,
  context: RetentionContext,
): RetentionDecision[] {
  checkRetentionPolicy(policy);
  const { replaces } = policy;
  const own = checkpoints.filter((each) => untouchedBecause(each, context.runId) === undefined);
  const newestLast = [
    ...own.filter(({ tag }) => tag !== context.newest),
    ...own.filter(({ tag }) => tag === context.newest),
  ].map(candidateOf);
  const best = policy.best === undefined ? undefined : bestN(1, policy.best);
  const bestTag = best?.keep(newestLast).keys().next().value;
  const { kept, none } = applyRules(policy, newestLast);
  return checkpoints.map((checkpoint): RetentionDecision => {
    const { tag } = checkpoint;
    const keep = (reason: string): RetentionDecision => ({ tag, keeps: true, reason });
    const holder = context.leased?.get(tag);
    const untouched = untouchedBecause(checkpoint, context.runId);
    if (tag === context.newest) return keep("it is the newest");
    if (untouched !== undefined) return keep(`it ${untouched}`);
    if (holder !== undefined) return keep(`it is held by ${holder}`);
    if (tag === bestTag) return keep(`it has the best ${policy.best?.metric}`);
    if (tag === replaces) return { tag, keeps: false, reason: "the newest takes its place" };
    if (tag === context.resumedFrom) return keep("the run was resumed from it");
    const reason = kept.get(tag);
    return reason === undefined ? { tag, keeps: false, reason: none } : keep(reason);
  });
}

/**
 * Carries out a plan. Call it after the new checkpoint is durable, and never before. Each checkpoint first loses its
 * name, durably, and then its bytes go, unless a lease turned up in between.
 */
export async function retain(
  engine: Engine,
  newest: string,
  policy: RetentionPolicy,
  options: RetainOptions = {},
): Promise<RetentionReport> {
  const { dryRun = false, now = Date.now } = checkOptions("retain()", options, RETAIN_OPTIONS);
  checkRetentionPolicy(policy);
  const { checkpoints } = await readCatalog(engine, dryRun ? {} : { knowing: newest });
  const fileIds = new Map(checkpoints.map(({ tag, fileId }) => [tag, fileId]));
  const leases = await surveyLeases(engine, now());
  const context = {
    runId: engine.runId,
    newest,
    resumedFrom: engine.resumedFrom,
    leased: leases.held,
  };
  const decisions = planRetention(checkpoints, policy, context);
  if (dryRun) return { deleted: [], decisions, warnings: [] };
  const deleted: string[] = [];
  const warnings = warningsOf(engine, checkpoints);
  for (const [index, { tag, keeps }] of decisions.entries()) {
    if (keeps) continue;
    try {
      const holder = await removeUnlessLeased(
        engine,
        { tag, fileId: fileIds.get(tag) },
        () => surveyLeases(engine, now()),
      );
      if (holder === undefined) deleted.push(tag);
      else decisions[index] = { tag, keeps: true, reason: `it is held by ${holder}` };
    } catch (error) {
      if (!(error instanceof CairnError)) throw error;
      if (error.code !== "not_found") warnings.push(error);
    }
  }
  await clearAway(engine, deleted, leases.dead);
  return { deleted, decisions, warnings };
}

/** Engines whose caller was told of files that nothing deletes. */
const TOLD = new WeakSet<Engine>();

function warningsOf(engine: Engine, checkpoints: readonly CheckpointSummary[]): CairnError[] {
  const [first, ...others] = unmarked(checkpoints, engine.runId);
  if (first === undefined || TOLD.has(engine)) return [];
  TOLD.add(engine);
  const which = `"${first.path}"${others.length === 0 ? "" : ` and ${others.length} more`}`;
  return [
    new CairnError(
      "unsupported",
      `Retention leaves ${which} alone: a file of an earlier version does not say whether it was saved automatically; ` +
        "delete it by hand when nobody needs it any more",
      { details: { op: "retain", tag: first.tag, path: first.path, value: others.length + 1 } },
    ),
  ];
}

/** @returns Who holds it, when it is held and therefore still there. */
async function removeUnlessLeased(
  engine: Engine,
  { tag, fileId }: { readonly tag: string; readonly fileId: string | undefined },
  survey: () => Promise<LeaseSurvey>,
): Promise<string | undefined> {
  let holder: string | undefined;
  await engine.remove(tag, {
    fileId,
    confirm: async () => {
      holder = (await survey()).held.get(tag);
      return holder === undefined;
    },
  });
  return holder;
}

/** The small files of deleted checkpoints. They mean nothing any more, so errors here do not matter. */
async function clearAway(
  engine: Engine,
  deleted: readonly string[],
  dead: LeaseSurvey["dead"],
): Promise<void> {
  try {
    await removeDeadLeases(dead);
    if (deleted.length === 0) return;
    await removeMarks(engine, deleted);
    await new LoadFailures(engine).forget(deleted);
  } catch (error) {
    if (!(error instanceof CairnError)) throw error;
  }
}

/** What is kept by `last` and `rule`, each with its reason, and the reason of those that are not. */
function applyRules(
  { last, rule }: RetentionPolicy,
  newestLast: readonly RetentionCandidate[],
): { kept: ReadonlyMap<string, string>; none: string } {
  if (last === undefined && rule === undefined) {
    return { kept: new Map(newestLast.map(({ tag }) => [tag, "all are kept"])), none: "" };
  }
  const rules = [...last === undefined ? [] : [lastN(last)], ...rule === undefined ? [] : [rule]];
  const kept = new Map<string, string>();
  for (const each of rules) {
    for (const [tag, reason] of each.keep(newestLast)) if (!kept.has(tag)) kept.set(tag, `it is ${reason}`);
  }
  return { kept, none: `it is not ${rules.map(({ description }) => description).join(", or ")}` };
}

function candidateOf({ tag, step, createdAt, metrics }: CheckpointSummary): RetentionCandidate {
  const timeMs = createdAt === undefined ? NaN : Date.parse(createdAt);
  return { tag, step, metrics, timeMs: Number.isNaN(timeMs) ? undefined : timeMs };
}
