import type { OptionNames } from "../base/options.ts";
import { CairnError } from "../base/errors.ts";
import type { SkippedCheckpoint } from "../checkpoint/catalog.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { Engine } from "../checkpoint/engine.ts";
import { PARTIAL_LOAD_OPTIONS, type PartialLoadOptions } from "../checkpoint/restore/tensor_plan.ts";
import { readFitted } from "../checkpoint/fitted_tensor.ts";
import type { LoadReport } from "../checkpoint/load_report.ts";
import { isOwnFile, openFrom, runToContinue } from "../checkpoint/open_from.ts";
import { recover, type RecoverOptions, type Recovery } from "../checkpoint/recovery.ts";
import { restore } from "../checkpoint/restore/restore.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import type { AutoSaver } from "./auto_saver.ts";
import type { CheckpointPlace } from "./checkpoint_place.ts";
import { CONTROL_TENSOR, LOSS_RING, LossRing } from "./loss_ring.ts";
import type { Run } from "./run.ts";
import { fromStateTree } from "./training_state.ts";

/** Options of `Trainer.resume`. */
export type ResumeOptions = Pick<RecoverOptions, "signal" | "maxFailures" | "setsAsideDamaged">;

/** Every option of {@link ResumeOptions}. */
export const RESUME_OPTIONS: OptionNames<ResumeOptions> = {
  signal: true,
  maxFailures: true,
  setsAsideDamaged: true,
};

/** Options of `Trainer.recover`. */
export interface RecoverRunOptions extends ResumeOptions {
  /** An open device to go on with, which stays the caller's. Unless given, the store opens one as it did before. */
  readonly gpu?: GpuDevice;
}

/** Every option of {@link RecoverRunOptions}. */
export const RECOVER_RUN_OPTIONS: OptionNames<RecoverRunOptions> = { ...RESUME_OPTIONS, gpu: true };

/** Options of `Trainer.load` and `Trainer.warmStart`: which tensors, how they are made to fit, or to try it first. */
export interface TrainerLoadOptions extends PartialLoadOptions {
  /**
   * True, the default: everything that is asked for has to fit. False: what fits is taken, and the report
   * says what did not.
   */
  readonly strict?: boolean;
  readonly signal?: AbortSignal;
}

/** Every option of {@link TrainerLoadOptions}. */
export const TRAINER_LOAD_OPTIONS: OptionNames<TrainerLoadOptions> = {
  ...PARTIAL_LOAD_OPTIONS,
  strict: true,
  signal: true,
};

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
  const found = await recover(place.engine, options);
  const { checkpoint, skipped } = found;
  if (checkpoint === undefined) {
    return { resumedFrom: null, path: null, step: run.step, skipped, warnings: [] };
  }
  return await goOnFrom(target, { ...found, checkpoint }, options.signal);
}

/**
 * Puts the run on another device and goes on from the newest checkpoint that verifies. That is looked for
 * first: without one the run stays lost.
 *
 * @throws CairnError `no_checkpoint`; `no_adapter` when there is no device.
 */
export async function recoverRun(
  target: RestoreTarget,
  options: RecoverRunOptions = {},
): Promise<ResumeReport> {
  const { run, place } = target;
  const { gpu, ...reading } = options;
  const found = await recover(place.engine, reading);
  const { checkpoint } = found;
  if (checkpoint === undefined) throw nothingToGoOnFrom(place.engine);
  return await goOnFrom(target, { ...found, checkpoint }, options.signal, async () => {
    // One that is under way fails on the lost device first.
    await place.saver.latest?.settled();
    // A store that was put on another device already only lacks its tensors.
    if (gpu !== undefined || run.store.gpu.isLost) await run.rebuild(gpu);
  });
}

function nothingToGoOnFrom(engine: Engine): CairnError {
  const path = engine.pathOf("x").slice(0, -"/x.cairn".length);
  return new CairnError(
    "no_checkpoint",
    `Cannot go on after the GPU device was lost: it took the tensors along, and "${path}" has no sound checkpoint; ` +
      "make a new store and trainer, and save more often (autoSave)",
    { details: { path } },
  );
}

async function goOnFrom(
  target: RestoreTarget,
  { checkpoint, skipped, confirm }: Recovery & { readonly checkpoint: Checkpoint },
  signal: AbortSignal | undefined,
  toDevice?: () => Promise<void>,
): Promise<ResumeReport> {
  const { run } = target;
  const { tag, path } = checkpoint;
  try {
    const warnings = [...adapterWarnings(run, checkpoint), ...await dataWarnings(run, checkpoint)];
    await restoreRun(target, checkpoint, {
      signal,
      toDevice,
      advice: "take the weights alone with warmStart(), or save this run into another directory",
    });
    await confirm();
    return { resumedFrom: tag, path, step: run.step, skipped, warnings };
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
  const { run, place } = target;
  const { strict = true, dryRun = false, signal, ...which } = options;
  const checkpoint = await openFrom(place.engine, name, signal);
  try {
    const isWhole = strict && Object.values(which).every((option) => option === undefined);
    if (isWhole && !dryRun) return await restoreRun(target, checkpoint, { signal });
    if (!dryRun) await run.initialize();
    const groups = isWhole ? {} : { groups: run.trainedGroups };
    return (await restore(checkpoint.source, { store: run.store }, { ...options, ...groups })).tensors;
  } finally {
    await checkpoint.close();
  }
}

/** How {@link restoreRun} does it. */
interface RestoreRunOptions {
  readonly signal: AbortSignal | undefined;
  /** What to do when the model is another one. */
  readonly advice?: string;
  /** Puts the store on the device that the tensors are to go to, when it is known that they fit. */
  readonly toDevice?: (() => Promise<void>) | undefined;
}

/**
 * Makes the run what it was when `checkpoint` was saved, every tensor, the counters and the history.
 *
 * @throws CairnError `state_mismatch` for a checkpoint of another model, optimiser, seed or batch size; then
 * nothing has changed.
 */
async function restoreRun(
  target: RestoreTarget,
  checkpoint: Checkpoint,
  { signal, advice, toDevice }: RestoreRunOptions,
): Promise<LoadReport> {
  const { run, place, policy } = target;
  const { tag, provenance } = checkpoint;
  const isOwn = isOwnFile(place.engine, checkpoint);
  const runId = runToContinue(place.engine, checkpoint);
  const { tensors } = await restore(checkpoint.source, { store: run.store }, {
    ...signal === undefined ? {} : { signal },
    ...advice === undefined ? {} : { advice },
    optional: [CONTROL_TENSOR],
    check: (saved) => run.requireSame(fromStateTree(saved, tag), tag),
    prepare: async ({ saved }) => {
      const state = fromStateTree(saved, tag);
      const { reader } = checkpoint;
      const ring = await readFitted(reader, reader.tensor(LOSS_RING), run.store.tensor(LOSS_RING), signal);
      const losses = LossRing.join(state.history.loss, asFloats(ring), state.step);
      await toDevice?.();
      const becomeThat = await run.toRestore(state, {
        losses,
        hasControl: reader.tensors.some(({ name }) => name === CONTROL_TENSOR),
        variants: provenance.variants ?? {},
      });
      return () => {
        becomeThat();
        run.parent = reader.fileId;
        // A checkpoint from elsewhere is copied into this directory's run, and not continued there.
        if (!isOwn) return;
        place.continueRun(runId, tag);
        policy?.loadStateDict(state.autoSaver);
        // The file tells of those before it, as it was not saved yet itself.
        policy?.onSaved(tag, state.step, checkpoint.metrics);
      };
    },
  });
  return tensors;
}

function asFloats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.slice().buffer);
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
