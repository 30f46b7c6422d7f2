import { readCatalog } from "../../checkpoint/engine/catalog.ts";
import { FileEngine } from "../../checkpoint/engine/file_engine.ts";
import type { CheckpointSummary } from "../../checkpoint/engine/summary.ts";
import { CHECKPOINT_EXTENSION } from "../../checkpoint/file/tags.ts";
import { retain, type RetentionReport } from "../../checkpoint/keep/retention/retention.ts";
import type { RetentionRule } from "../../checkpoint/keep/retention/rule.ts";
import type { Storage } from "../../storage/storage.ts";

/** What is to become of the checkpoints of one run. */
export interface RunPlan extends RetentionReport {
  readonly runId: string;
  /** Bytes of each checkpoint's own file, by its tag. */
  readonly bytes: ReadonlyMap<string, number>;
}

/** Plans each run of a directory by itself, and carries the plans out where `deletes` says so. */
export async function retainRuns(
  storage: Storage,
  rule: RetentionRule,
  deletes: boolean,
): Promise<RunPlan[]> {
  const { checkpoints } = await readCatalog(await FileEngine.open(storage));
  const sizes = new Map((await storage.list("")).map(({ name, byteLength }) => [name, byteLength]));
  const plans: RunPlan[] = [];
  for (const [runId, own] of byRun(checkpoints)) {
    const newest = own.at(-1);
    if (newest === undefined) continue;
    const engine = await FileEngine.open(storage, { runId });
    engine.continueRun(runId, resumedFrom(own, newest));
    const report = await retain(engine, newest.tag, { rule }, { dryRun: !deletes });
    const tags = new Set(own.map(({ tag }) => tag));
    plans.push({
      ...report,
      runId,
      decisions: report.decisions.filter(({ tag }) => tags.has(tag)),
      bytes: new Map(own.map(({ tag }) => [tag, sizes.get(tag + CHECKPOINT_EXTENSION) ?? 0])),
    });
  }
  return plans;
}

/** Checkpoints by the id of their run. A file of no run is a file of weights, which nothing deletes. */
function byRun(checkpoints: readonly CheckpointSummary[]): Map<string, CheckpointSummary[]> {
  const runs = new Map<string, CheckpointSummary[]>();
  for (const checkpoint of checkpoints) {
    const { runId } = checkpoint;
    if (runId !== undefined) runs.set(runId, [...runs.get(runId) ?? [], checkpoint]);
  }
  return runs;
}

/** The checkpoint that the newest one's process went on from; it stays, as it does while that process runs. */
function resumedFrom(own: readonly CheckpointSummary[], newest: CheckpointSummary): string {
  return own.find(({ fileId }) => fileId === newest.parent)?.tag ?? newest.tag;
}
