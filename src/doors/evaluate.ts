/**
 * For the process beside a training that evaluates its checkpoints: wait for each, hold it so that retention leaves
 * it, and mark it as done.
 *
 * @example
 * ```ts
 * import { Snapshot } from "@cairn-ml/cairn";
 * import { evaluateCheckpoints } from "@cairn-ml/cairn/evaluate";
 *
 * // The training, in this example: one checkpoint.
 * const snapshot = new Snapshot("runs/digits", { notes: { epoch: 3 } });
 * await (await snapshot.save(100)).wait();
 * await snapshot.close();
 *
 * const report = await evaluateCheckpoints("runs/digits", {
 *   partition: "test",
 *   evaluate: async (checkpoint) => console.log(checkpoint.step, await checkpoint.state()),
 *   lastStep: 100,
 * });
 * console.log(report.endedBy); // "lastStep"
 * ```
 *
 * @module
 */
export {
  checkpointsIterator,
  type CheckpointsIteratorOptions,
  watchCheckpoints,
} from "../checkpoint/keep/evaluators/checkpoints_iterator.ts";
export {
  type CheckpointName,
  DONE_EVAL_SUBDIR,
  evalDonePath,
  evalSubdir,
  isDoneEval,
  markDoneEval,
} from "../checkpoint/keep/evaluators/done_marks.ts";
export {
  evaluateCheckpoints,
  type EvaluateCheckpointsOptions,
  type EvaluationLoopReport,
} from "../checkpoint/keep/evaluators/evaluate_checkpoints.ts";
export { Lease, type LeaseOptions } from "../checkpoint/keep/evaluators/lease.ts";
export {
  type EvaluatorsReport,
  waitForEvaluators,
  type WaitForEvaluatorsOptions,
} from "../checkpoint/keep/evaluators/wait_for_evaluators.ts";
