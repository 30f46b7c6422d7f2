import type { CheckpointSummary } from "./catalog.ts";

/**
 * Why a program may not delete a checkpoint by itself, whatever its policy says, so that "it …" is a sentence; `undefined` where
 * it may. What it may delete is what it saved by itself, in the same run, under the very name that the file has.
 */
export function untouchedBecause(
  { tag, runId, savedBy, savedTag }: CheckpointSummary,
  ownRunId: string,
): string | undefined {
  if (runId !== ownRunId) return "belongs to another run";
  if (savedBy === undefined) return "does not say whether it was saved automatically";
  if (savedBy === "user") return "was saved because somebody asked for it";
  if (savedTag !== tag) {
    return savedTag === undefined ? "does not say its name" : `is a copy of "${savedTag}"`;
  }
}

/** Those of the run that do not say who saved them, as files from before there was such a mark. Nothing deletes them. */
export function unmarked(checkpoints: readonly CheckpointSummary[], ownRunId: string): CheckpointSummary[] {
  return checkpoints.filter(({ runId, savedBy }) => runId === ownRunId && savedBy === undefined);
}
