import { CairnError } from "../base/errors.ts";
import { type CheckpointSummary, readCatalog } from "../checkpoint/engine/catalog.ts";
import type { Checkpoint } from "../checkpoint/file/checkpoint.ts";
import type { Engine } from "../checkpoint/engine/engine.ts";
import type { LoadReport } from "../checkpoint/restore/load_report.ts";
import { isOwnFile, openFrom, runToContinue } from "../checkpoint/engine/open_from.ts";
import { recover, type RecoverOptions, type Recovery } from "../checkpoint/keep/recovery.ts";
import { restore } from "../checkpoint/restore/restore.ts";
import { warmStart } from "../checkpoint/warm_start.ts";
import type { AutoSaver } from "./saves/auto_saver.ts";
import type { RunDirectory } from "./saves/run_directory.ts";
import { LOADABLE, ownState, whyNotOwn } from "./loop/own_checkpoint.ts";
import { restoredLosses } from "./loop/restored_losses.ts";
import type { Run } from "./loop/run.ts";
import type {
  RecoverRunOptions,
  ResumeOptions,
  ResumeReport,
  TrainerLoadOptions,
} from "./restore_options.ts";
import {
  type Allowance,
  allowing,
  RUN_SETTINGS,
  type RunDifference,
  type RunSetting,
} from "./loop/run_identity.ts";

/** What a run is restored into. */
export interface RestoreTarget {
  readonly run: Run;
  readonly runDirectory: RunDirectory;
  readonly autoSaver: AutoSaver | undefined;
}

/**
 * Goes on from the newest checkpoint of this run that verifies; changes nothing when there is none.
 *
 * @throws CairnError `state_mismatch` when there are sound checkpoints and none is of this run, with the differences
 * of the newest; `storage_failed` when there is none and something cannot be read.
 */
export async function resumeNewest(
  target: RestoreTarget,
  { allow = [], ...options }: ResumeOptions = {},
  engine: Engine = target.runDirectory.engine,
): Promise<ResumeReport> {
  const { run } = target;
  const isAllowed = allowing(allow);
  await run.record.complete();
  const refuse = (checkpoint: Checkpoint): Promise<CairnError | undefined> =>
    whyNotOwn(run, checkpoint, isAllowed);
  const found = await recover(engine, { ...reading(options), refuse });
  const { checkpoint, skipped, refused: [newest] } = found;
  if (checkpoint !== undefined) {
    // Before anything changes: nothing may fail afterwards.
    const others = await closingOnError(checkpoint, async () => {
      const passedOver = new Set(skipped.map(({ tag }) => tag));
      return await otherRuns(engine, checkpoint.provenance.runId, (each) => {
        return passedOver.has(each.tag) ? Promise.resolve(false) : isOwn(engine, each.tag, refuse);
      });
    });
    const report = await goOnFrom(target, { ...found, checkpoint }, { signal: options.signal, isAllowed });
    return { ...report, warnings: [...report.warnings, ...others] };
  }
  if (newest !== undefined) throw newest.error;
  return {
    resumedFrom: null,
    path: null,
    runId: null,
    fileId: null,
    parent: null,
    order: null,
    step: run.step,
    skipped,
    changed: [],
    warnings: [],
  };
}

function reading(
  { signal, maxFailures, quarantinesDamaged }: ResumeOptions,
): Pick<RecoverOptions, "signal" | "maxFailures" | "quarantinesDamaged"> {
  return {
    signal,
    maxFailures,
    quarantinesDamaged,
  };
}

async function closingOnError<T>(checkpoint: Checkpoint, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

async function isOwn(
  engine: Engine,
  tag: string,
  refuse: (checkpoint: Checkpoint) => Promise<CairnError | undefined>,
): Promise<boolean> {
  try {
    const checkpoint = await engine.load(tag);
    try {
      return await refuse(checkpoint) === undefined;
    } finally {
      await checkpoint.close();
    }
  } catch (error) {
    if (error instanceof CairnError) return false;
    throw error;
  }
}

/** One warning for each run besides `runId` whose newest checkpoint could be resumed too. */
async function otherRuns(
  engine: Engine,
  runId: string | undefined,
  isMatch: (newest: CheckpointSummary) => Promise<boolean>,
): Promise<string[]> {
  const newest = new Map<string, CheckpointSummary>();
  for (const each of (await readCatalog(engine)).checkpoints) newest.set(each.runId ?? "", each);
  newest.delete(runId ?? "");
  const warnings: string[] = [];
  for (const [id, each] of newest) {
    if (!await isMatch(each)) continue;
    const name = id === "" ? "A run without an id" : `The run ${id}`;
    warnings.push(
      `${name} could be gone on from as well, with "${each.tag}" at step ${each.step ?? "?"}; ` +
        `load("${each.tag}") takes that one`,
    );
  }
  return warnings;
}

/**
 * Begins a run with the weights of a checkpoint anywhere. Null where it is saved and its directory has checkpoints:
 * those are to be gone on from.
 */
export async function warmStartRun(
  { run, runDirectory, autoSaver }: RestoreTarget,
  path: string | URL,
  options: TrainerLoadOptions,
): Promise<LoadReport | null> {
  if (autoSaver?.isEnabled === true && !await runDirectory.isEmpty()) return null;
  await run.initialize();
  return await warmStart(run.store, path, options);
}

/**
 * Puts the run on another device and resumes from the newest checkpoint that verifies. That is found first: without
 * one the run stays lost.
 *
 * @throws CairnError `no_checkpoint`; `no_adapter` when there is no device. TypeError for a run that is not lost.
 */
export async function recoverRun(
  target: RestoreTarget,
  options: RecoverRunOptions = {},
  engine: Engine = target.runDirectory.engine,
): Promise<ResumeReport> {
  const { run, runDirectory } = target;
  if (!run.isLost) {
    throw new TypeError("The GPU device is not lost; resume() goes on from the newest checkpoint");
  }
  const { gpu, ...resuming } = options;
  // What was changed on purpose may be newer than the newest checkpoint.
  const allow = [...options.allow ?? [], ...RUN_SETTINGS.filter((setting) => isChanged(run, setting))];
  const isAllowed = allowing(allow);
  await run.record.complete();
  const refuse = (checkpoint: Checkpoint): Promise<CairnError | undefined> =>
    whyNotOwn(run, checkpoint, isAllowed);
  const found = await recover(engine, { ...reading(resuming), refuse });
  const { checkpoint, refused: [newest] } = found;
  if (checkpoint === undefined) throw newest?.error ?? nothingToGoOnFrom(engine);
  return await goOnFrom(target, { ...found, checkpoint }, {
    signal: options.signal,
    isAllowed,
    toDevice: async () => {
      // One that is under way fails on the lost device first.
      await runDirectory.saver.latest?.settled();
      // A store that was put on another device already only lacks its tensors.
      if (gpu !== undefined || run.store.gpu.isLost) await run.rebuild(gpu);
    },
  });
}

function isChanged(run: Run, setting: RunSetting): boolean {
  return run.record.changes.some((change) => change.part === setting);
}

function nothingToGoOnFrom(engine: Engine): CairnError {
  const path = engine.location.replace(/[/\\]$/, "");
  return new CairnError(
    "no_checkpoint",
    `Cannot go on after the GPU device was lost: its tensors are gone, and "${path}" has no sound checkpoint; ` +
      "make a new store and trainer, and save more often (autoSave)",
    { details: { path } },
  );
}

async function goOnFrom(
  target: RestoreTarget,
  { checkpoint, skipped, confirm }: Recovery & { readonly checkpoint: Checkpoint },
  options: RestoreRunWork,
): Promise<ResumeReport> {
  const { run } = target;
  const { tag, path, provenance, reader } = checkpoint;
  try {
    const warnings = adapterWarnings(run, checkpoint);
    const { changed, strangers } = await restoreRun(target, checkpoint, options);
    warnings.push(
      ...strangers.map((name) =>
        `"${tag}" has the state of the callback "${name}", which this trainer has not: later checkpoints will lack it`
      ),
    );
    await confirm();
    if (run.order.omission !== undefined) warnings.push(run.order.omission);
    return {
      resumedFrom: tag,
      path,
      runId: provenance.runId ?? null,
      fileId: reader.fileId,
      parent: provenance.parent ?? null,
      order: provenance.order ?? null,
      step: run.step,
      skipped,
      changed,
      warnings,
    };
  } finally {
    await checkpoint.close();
  }
}

/**
 * Loads a checkpoint by its tag, its step, or its path: all of the run, or with options that say which
 * tensors and how, those and nothing else.
 */
export async function loadRun(
  target: RestoreTarget,
  name: string | number | URL,
  options: TrainerLoadOptions,
): Promise<LoadReport> {
  const { run, runDirectory } = target;
  const { strict = true, dryRun = false, signal, ...which } = options;
  const checkpoint = await openFrom(runDirectory.engine, name, signal);
  try {
    const isWhole = strict && Object.values(which).every((option) => option === undefined);
    if (isWhole && !dryRun) {
      await run.record.complete();
      return (await restoreRun(target, checkpoint, { signal, isAllowed: LOADABLE })).tensors;
    }
    if (run.steps.rules.owners !== undefined) {
      throw new TypeError(
        "Of a checkpoint all is loaded where each rank keeps a part of what the optimiser has (optimizerSharding): " +
          "leave the options of load() out, or take weights with warmStart()",
      );
    }
    if (!dryRun) await run.initialize();
    const groups = isWhole ? {} : { groups: run.trainedGroups };
    return (await restore(checkpoint.source, { store: run.store }, { ...options, ...groups })).tensors;
  } finally {
    await checkpoint.close();
  }
}

/** How {@link restoreRun} does it. */
export interface RestoreRunWork {
  readonly signal: AbortSignal | undefined;
  readonly isAllowed: Allowance;
  /** Puts the store on the device that the tensors are to go to, when it is known that they fit. */
  readonly toDevice?: (() => Promise<void>) | undefined;
}

/** What {@link restoreRun} did. */
export interface RestoredRun {
  readonly tensors: LoadReport;
  readonly changed: readonly RunDifference[];
  /** Callbacks that the checkpoint has a state of, and the run has not. */
  readonly strangers: readonly string[];
}

/**
 * Makes the run what it was when `checkpoint` was saved, every tensor, the counters and the history.
 *
 * @throws CairnError `state_mismatch` for a checkpoint of another run; then nothing has changed.
 */
export async function restoreRun(
  target: RestoreTarget,
  checkpoint: Checkpoint,
  { signal, isAllowed, toDevice }: RestoreRunWork,
): Promise<RestoredRun> {
  const { run, runDirectory, autoSaver } = target;
  const { tag, provenance } = checkpoint;
  const isOwn = isOwnFile(runDirectory.engine, checkpoint);
  const runId = runToContinue(runDirectory.engine, checkpoint);
  const { state, differences, plan, updates, ...moments } = await ownState(run, checkpoint, isAllowed);
  const { tensors } = await restore(checkpoint.source, { store: run.store }, {
    signal,
    ...plan,
    prepare: async () => {
      const { reader } = checkpoint;
      const isOtherLoss = differences.some(({ part: setting }) => setting === "loss");
      const { losses, columns } = await restoredLosses(run, checkpoint, state, { isOtherLoss, signal });
      await toDevice?.();
      const becomeThat = await run.toRestore(state, {
        losses,
        columns,
        updates,
        variants: provenance.variants ?? {},
        differences,
      });
      return () => {
        becomeThat();
        run.parent = reader.fileId;
        run.resumedFrom = tag;
        // A checkpoint from elsewhere is copied into this directory's run, and not continued there.
        if (!isOwn) return;
        runDirectory.continueRun(runId, tag);
        autoSaver?.loadStateDict(state.autoSaver);
        // The file tells of those before it, as it was not saved yet itself.
        autoSaver?.onSaved(tag, state.step, checkpoint.metrics);
      };
    },
  });
  const { owners } = run.steps.rules;
  if (owners !== undefined) {
    const { giveMoments } = await import("./ranks/moment_loads.ts");
    await giveMoments(run, owners.group, moments.takesMoments ? checkpoint.source : undefined);
  }
  if (moments.beginsAverage) run.beginAverage();
  return { tensors, changed: differences, strangers: run.callbacks?.strangersIn(state.callbacks) ?? [] };
}

function adapterWarnings(run: Run, checkpoint: Checkpoint): string[] {
  const { adapter } = checkpoint.provenance;
  const now = run.store.gpu.adapterName;
  if (adapter === undefined || adapter === now) return [];
  return [
    `"${checkpoint.tag}" was saved on the adapter "${adapter}" and this is "${now}": the last bits may differ from here on`,
  ];
}
