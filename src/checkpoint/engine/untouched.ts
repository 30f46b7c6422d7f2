import type { CheckpointSummary } from "./catalog.ts";

/**
 * Why retention may not delete a checkpoint, so that "it …" is a sentence; `undefined` where it may. It may delete
 * what the same run saved automatically, under the name that the file still has.
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

/**
 * Those of the run that do not say who saved them, as files from before there was such a mark. Nothing deletes them.
 */
export function unmarked(checkpoints: readonly CheckpointSummary[], ownRunId: string): CheckpointSummary[] {
  return checkpoints.filter(({ runId, savedBy }) => runId === ownRunId && savedBy === undefined);
}
