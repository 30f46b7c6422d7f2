import type { SkippedCheckpoint } from "../checkpoint/catalog.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { LoadReport } from "../checkpoint/load_report.ts";
import { recover } from "../checkpoint/recovery.ts";
import type { AutoSaver } from "./auto_saver.ts";
import type { CheckpointPlace } from "./checkpoint_place.ts";
import type { Run } from "./run.ts";
import { fromStateTree } from "./training_state.ts";

/** What `Trainer.resume` did. */
export interface ResumeReport {
  /** Tag of the checkpoint that the run goes on from; null for a fresh start. */
  readonly resumedFrom: string | null;
  /** Its full name. */
  readonly path: string | null;
  /** Optimiser updates that are done. */
  readonly step: number;
  /** Newer checkpoints that are damaged, and all that cannot be opened, with the reason. */
  readonly skipped: readonly SkippedCheckpoint[];
  /** What may keep the bits from being the same as those of an undisturbed run. */
  readonly warnings: readonly string[];
}

/** What a run is restored into. */
export interface RestoreTarget {
  readonly run: Run;
  readonly place: CheckpointPlace;
  readonly policy: AutoSaver | undefined;
}

/** Goes on from the newest checkpoint that verifies; changes nothing when there is none. */
export async function resumeNewest(target: RestoreTarget, signal?: AbortSignal): Promise<ResumeReport> {
  const { run, place } = target;
  const { checkpoint, skipped } = await recover(place.engine, signal === undefined ? {} : { signal });
  if (checkpoint === undefined) {
    return { resumedFrom: null, path: null, step: run.step, skipped, warnings: [] };
  }
  try {
    await restoreRun(target, checkpoint, signal);
    const { tag, path } = checkpoint;
    return { resumedFrom: tag, path, step: run.step, skipped, warnings: adapterWarnings(run, checkpoint) };
  } finally {
    await checkpoint.close();
  }
}

/**
 * Makes the run what it was when `checkpoint` was saved, every tensor, the counters and the history.
 *
 * @throws CairnError `state_mismatch` for a checkpoint of another model, optimiser, seed or batch size; then
 * nothing has changed.
 */
export async function restoreRun(
  target: RestoreTarget,
  checkpoint: Checkpoint,
  signal?: AbortSignal,
): Promise<LoadReport> {
  const { run, place, policy } = target;
  const { tag, path, provenance } = checkpoint;
  const state = fromStateTree(await checkpoint.state(), tag);
  run.requireSame(state, tag);
  // One that is under way would write over what is loaded.
  await run.initialization;
  const report = await checkpoint.loadInto(run.store, signal === undefined ? {} : { signal });
  await run.restore(state, provenance.variants);
  // A checkpoint from elsewhere is copied into this directory's run, and not continued there.
  if (path !== place.engine.pathOf(tag)) return report;
  place.continueRun(provenance.runId, tag);
  // The file holds the name of the one before it, as it was not saved yet itself.
  if (policy !== undefined) policy.lastSavedTag = tag;
  return report;
}

function adapterWarnings(run: Run, checkpoint: Checkpoint): string[] {
  const { adapter } = checkpoint.provenance;
  const now = run.store.gpu.adapterName;
  if (adapter === undefined || adapter === now) return [];
  return [
    `"${checkpoint.tag}" was saved on the adapter "${adapter}" and this is "${now}": the last bits may differ from here on`,
  ];
}
