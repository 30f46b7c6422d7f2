import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { throwIfAborted } from "../../../base/abort.ts";
import { type Clock, systemClock } from "../../../base/clock.ts";
import { joinPath } from "../../../storage/storage_path.ts";
import { type CheckpointSummary, readCatalog } from "../../engine/catalog.ts";
import { requireFolder } from "../../engine/checkpoint_folder.ts";
import type { EngineTarget } from "../../engine/engine_target.ts";
import { openEngine } from "../../engine/open_engine.ts";
import { DirectoryWatch } from "./directory_watch.ts";
import { checkPartition, DONE_EVAL_SUBDIR, donePartitions } from "./done_marks.ts";

/** Options of {@link waitForEvaluators}. */
export interface WaitForEvaluatorsOptions {
  /** How long to wait altogether, for the checkpoint and the evaluators. Default 1 800 000, half an hour. */
  readonly timeoutMs?: number | undefined;
  /** How long to wait between two looks, where a change of the directory does not end the wait. Default 10 000. */
  readonly pollMs?: number | undefined;
  /** Ends the wait by rejecting with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** What went wrong, in a sentence; it is in the report, too. */
  readonly onWarning?: ((message: string) => void) | undefined;
  /** The clock that waits; that of the system unless given. */
  readonly clock?: Clock | undefined;
}

/** Every option of {@link WaitForEvaluatorsOptions}. */
export const WAIT_FOR_EVALUATORS_OPTIONS: OptionNames<WaitForEvaluatorsOptions> = {
  timeoutMs: true,
  pollMs: true,
  signal: true,
  onWarning: true,
  clock: true,
};

/** How {@link waitForEvaluators} ended. */
export interface EvaluatorsReport {
  /** Whether every partition was marked. */
  readonly isDone: boolean;
  /** In the order in which they were given. */
  readonly finished: readonly string[];
  /** Partitions without a mark, in the order in which they were given. */
  readonly unfinished: readonly string[];
  /**
   * `done`; the time was over; or a newer checkpoint is there and the one of the step is not, so that it will not
   * come.
   */
  readonly endedBy: "done" | "timeout" | "skipped";
  /** What to tell people when it is not done. */
  readonly warning: string | undefined;
}

/**
 * Waits until each partition's evaluator has marked the checkpoint of a step as done. It returns as soon as the last
 * one has, or when the time is over, or when the newest checkpoint is of a higher step and the one of that step is
 * gone; it does not reject for those.
 *
 * @param partitionNames Left as they are.
 */
export async function waitForEvaluators(
  target: EngineTarget,
  partitionNames: readonly string[],
  globalStep: number,
  options: WaitForEvaluatorsOptions = {},
): Promise<EvaluatorsReport> {
  const { timeoutMs = 1_800_000, pollMs = 10_000, signal, onWarning, clock = systemClock } = checkOptions(
    "waitForEvaluators()",
    options,
    WAIT_FOR_EVALUATORS_OPTIONS,
  );
  const partitions = [...new Set(partitionNames)];
  for (const partition of partitions) checkPartition(partition);
  const engine = await openEngine(target);
  const folder = requireFolder(engine);
  const marks = { ...folder, directory: joinPath(folder.directory, DONE_EVAL_SUBDIR) };
  const watch = new DirectoryWatch(marks, (name) => name.endsWith("_DONE"));
  const deadline = clock.now() + timeoutMs;
  let finished: readonly string[] = [];
  const end = (endedBy: EvaluatorsReport["endedBy"], warning?: string): EvaluatorsReport => {
    if (warning !== undefined) onWarning?.(warning);
    const unfinished = partitions.filter((partition) => !finished.includes(partition));
    return { isDone: endedBy === "done", finished, unfinished, endedBy, warning };
  };
  try {
    for (;;) {
      throwIfAborted(signal);
      watch.arm();
      const { checkpoints } = await readCatalog(engine, { signal });
      const found = checkpoints.findLast(({ step }) => step === globalStep);
      if (found === undefined) {
        // Only the newest says where the run is now: it may have gone back and be about to save this step.
        const newer = checkpoints.at(-1);
        if (newer?.step !== undefined && newer.step > globalStep) {
          return end("skipped", skippedMessage(globalStep, newer));
        }
      } else {
        const done = await donePartitions(engine, found.tag, partitions);
        finished = partitions.filter((partition) => done.has(partition));
        if (finished.length === partitions.length) return end("done");
      }
      const restMs = deadline - clock.now();
      if (restMs <= 0) {
        const missing = partitions.filter((partition) => !finished.includes(partition));
        return end("timeout", timeoutMessage(globalStep, found, missing, timeoutMs));
      }
      await watch.wait(clock, Math.min(pollMs, restMs), signal);
    }
  } finally {
    watch.close();
  }
}

function skippedMessage(globalStep: number, newer: CheckpointSummary): string {
  return `There is no checkpoint of step ${globalStep} to be evaluated, and there is a newer one, "${newer.tag}": ` +
    "it was skipped or deleted, so waiting for it ends";
}

function timeoutMessage(
  globalStep: number,
  found: CheckpointSummary | undefined,
  missing: readonly string[],
  timeoutMs: number,
): string {
  const what = found === undefined
    ? `no checkpoint of step ${globalStep} was saved`
    : `${missing.map((name) => `"${name}"`).join(", ")} did not finish evaluating step ${globalStep}`;
  return `After ${timeoutMs / 1000} s of waiting, ${what}; going on without`;
}
