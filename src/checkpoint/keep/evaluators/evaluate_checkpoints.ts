import { checkOptions, type OptionNames, pickOptions } from "../../../base/options/options.ts";
import { CairnError } from "../../../base/errors.ts";
import { type CheckpointSummary, skipped, type SkippedCheckpoint } from "../../engine/summary.ts";
import type { Checkpoint } from "../../file/checkpoint.ts";
import type { Engine } from "../../engine/engine.ts";
import type { EngineTarget } from "../../engine/engine_target.ts";
import { openEngine } from "../../engine/open_engine.ts";
import {
  CHECKPOINTS_ITERATOR_OPTIONS,
  type CheckpointsIteratorOptions,
  watchCheckpoints,
} from "./checkpoints_iterator.ts";
import { checkPartition, isDoneEval, markDoneEval } from "./done_marks.ts";
import { Lease, type LeaseOptions } from "./lease.ts";

/** Options of {@link evaluateCheckpoints}. */
export interface EvaluateCheckpointsOptions extends CheckpointsIteratorOptions {
  /** What this evaluator evaluates on; its mark has that name. */
  readonly partition: string;
  /**
   * Measures one checkpoint: restore it, begin a new pass over the data, measure, log. It is verified, held by a
   * lease while this runs, and closed afterwards. What it throws ends the loop, and the checkpoint is not marked.
   */
  readonly evaluate: (checkpoint: Checkpoint) => unknown;
  /** Ends the loop after the first checkpoint of this step or a higher one. */
  readonly lastStep?: number | undefined;
  /** Whether this process marks what it evaluated: of several that work together, one does. Default true. */
  readonly marks?: boolean | undefined;
  /** How long the lease holds without being renewed; see {@link LeaseOptions.leaseMs}. */
  readonly leaseMs?: number | undefined;
}

/** Every option of {@link EvaluateCheckpointsOptions}. */
export const EVALUATE_CHECKPOINTS_OPTIONS: OptionNames<EvaluateCheckpointsOptions> = {
  ...CHECKPOINTS_ITERATOR_OPTIONS,
  partition: true,
  evaluate: true,
  lastStep: true,
  marks: true,
  leaseMs: true,
};

/** What {@link evaluateCheckpoints} did. */
export interface EvaluationLoopReport {
  /** Tags, in the order in which they were evaluated. */
  readonly evaluated: readonly string[];
  /** Those that were marked by this partition before: tags. */
  readonly alreadyDone: readonly string[];
  /** Damaged ones, and such as were deleted before their turn came. */
  readonly skipped: readonly SkippedCheckpoint[];
  /** The last step was evaluated, or no checkpoint came in time. */
  readonly endedBy: "lastStep" | "timeout";
}

/**
 * The loop of an evaluator: takes each checkpoint as it is saved, holds it, verifies it, has it evaluated, and marks
 * it as done. After a restart, what is marked is not evaluated again. Follows the evaluation loop of
 * the-algorithm-ml.
 *
 * @throws what `evaluate` threw; the signal's reason.
 */
export async function evaluateCheckpoints(
  target: EngineTarget,
  options: EvaluateCheckpointsOptions,
): Promise<EvaluationLoopReport> {
  const { partition, lastStep } = checkOptions(
    "evaluateCheckpoints()",
    options,
    EVALUATE_CHECKPOINTS_OPTIONS,
    "{ partition, evaluate }",
  );
  const watching = pickOptions<CheckpointsIteratorOptions>(options, CHECKPOINTS_ITERATOR_OPTIONS);
  checkPartition(partition);
  const engine = await openEngine(target);
  const evaluated: string[] = [];
  const alreadyDone: string[] = [];
  const passedOver: SkippedCheckpoint[] = [];
  for await (const summary of watchCheckpoints(engine, watching)) {
    const { tag, path, step } = summary;
    try {
      if (await orUnusable(isDoneEval({ engine, tag }, partition))) alreadyDone.push(tag);
      else {
        await evaluateOne(engine, summary, options);
        evaluated.push(tag);
      }
    } catch (error) {
      if (!(error instanceof UnusableCheckpoint)) throw error;
      passedOver.push(skipped(tag, path, error.reason));
      continue;
    }
    const isLast = lastStep !== undefined && step !== undefined && step >= lastStep;
    if (isLast) return { evaluated, alreadyDone, skipped: passedOver, endedBy: "lastStep" };
  }
  return { evaluated, alreadyDone, skipped: passedOver, endedBy: "timeout" };
}

async function evaluateOne(
  engine: Engine,
  { tag }: CheckpointSummary,
  { partition, evaluate, marks = true, leaseMs, signal }: EvaluateCheckpointsOptions,
): Promise<void> {
  const leaseOptions: LeaseOptions = {
    holder: `the evaluator of "${partition}"`,
    leaseMs,
  };
  const lease = await orUnusable(Lease.take(engine, tag, leaseOptions));
  try {
    const checkpoint = await orUnusable(engine.load(tag, { signal }));
    try {
      await orUnusable(checkpoint.verify({ signal }));
      await evaluate(checkpoint);
    } finally {
      await checkpoint.close();
    }
    if (marks) await markDoneEval({ engine, tag }, partition);
  } finally {
    await lease.release();
  }
}

/** A checkpoint that cannot be read, unlike an evaluation that fails. */
class UnusableCheckpoint extends Error {
  readonly reason: CairnError;

  constructor(reason: CairnError) {
    super(reason.message, { cause: reason });
    this.reason = reason;
  }
}

async function orUnusable<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw error instanceof CairnError ? new UnusableCheckpoint(error) : error;
  }
}
