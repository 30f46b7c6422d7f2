import type { SkippedCheckpoint } from "../checkpoint/catalog.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { LoadReport } from "../checkpoint/load_report.ts";
import { recover, type RecoverOptions } from "../checkpoint/recovery.ts";
import type { AutoSaver } from "./auto_saver.ts";
import type { CheckpointPlace } from "./checkpoint_place.ts";
import type { Run } from "./run.ts";
import { fromStateTree } from "./training_state.ts";

/** Options of `Trainer.resume`. */
export type ResumeOptions = Pick<RecoverOptions, "signal" | "maxFailures" | "setsAsideDamaged">;

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
export async function resumeNewest(
  target: RestoreTarget,
  options: ResumeOptions = {},
): Promise<ResumeReport> {
  const { run, place } = target;
  const { checkpoint, skipped, confirm } = await recover(place.engine, options);
  if (checkpoint === undefined) {
    return { resumedFrom: null, path: null, step: run.step, skipped, warnings: [] };
  }
  try {
    await restoreRun(target, checkpoint, options.signal);
    await confirm();
    const { tag, path } = checkpoint;
    const warnings = [...adapterWarnings(run, checkpoint), ...await dataWarnings(run, checkpoint)];
    return { resumedFrom: tag, path, step: run.step, skipped, warnings };
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

/** As many batches of another number of examples are other batches. */
async function dataWarnings(run: Run, checkpoint: Checkpoint): Promise<string[]> {
  const { exampleCount } = fromStateTree(await checkpoint.state(), checkpoint.tag);
  if (exampleCount === undefined || exampleCount === run.exampleCount) return [];
  return [
    `"${checkpoint.tag}" was trained on ${exampleCount} examples and the data has ${run.exampleCount}: ` +
    `the batches are others from here on`,
  ];
}

function adapterWarnings(run: Run, checkpoint: Checkpoint): string[] {
  const { adapter } = checkpoint.provenance;
  const now = run.store.gpu.adapterName;
  if (adapter === undefined || adapter === now) return [];
  return [
    `"${checkpoint.tag}" was saved on the adapter "${adapter}" and this is "${now}": the last bits may differ from here on`,
  ];
}
