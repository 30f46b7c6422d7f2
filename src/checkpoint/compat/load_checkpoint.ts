import { type Work, WORK_OPTIONS, workOf } from "../../base/work.ts";
import { MODEL_GROUP } from "../../tensor/group_names.ts";
import { requireAwaited } from "../../base/options/kind_of.ts";
import { checkOptions, type OptionNames, pickOptions } from "../../base/options/options.ts";
import type { ContainerReader } from "../../container/read/container_reader.ts";
import { TensorStore } from "../../tensor/tensor_store.ts";
import { CairnError } from "../../base/errors.ts";
import type { SkippedCheckpoint } from "../engine/catalog.ts";
import type { Checkpoint } from "../file/checkpoint.ts";
import { ENGINE_LOAD_OPTIONS, type EngineLoadOptions } from "../engine/engine.ts";
import type { HostState } from "../capture/state_types.ts";
import { PARTIAL_LOAD_OPTIONS, type PartialLoadOptions } from "../restore/partial_load_options.ts";
import type { LoadReport } from "../restore/load_report.ts";
import type { EngineTarget } from "../engine/engine_target.ts";
import { openEngine } from "../engine/open_engine.ts";
import type { PlacementReport, RankView } from "../file/parts/rank_view.ts";
import { recover } from "../keep/recovery.ts";
import { restore, type RestorePlan } from "../restore/restore.ts";
import { withRollback } from "../restore/rollback.ts";
import { requireState, type StateByName } from "../restore/restore_state.ts";
import { checkTag } from "../file/tags.ts";

/** How the groups of an optimiser's states are named: `optimizer.m`, `optimizer.v`. */
export const OPTIMIZER_PREFIX = "optimizer";
/** Names of state that belongs to a learning-rate schedule. */
export const SCHEDULER_NAMES: readonly string[] = ["lrScheduler", "scheduler"];

/** What a checkpoint is loaded into. */
export interface LoadTarget {
  /** Its tensors are filled by name. None are, unless given. */
  readonly store?: TensorStore | undefined;
  /** Put back in place, name by name; see `restoreState`. */
  readonly state?: StateByName | undefined;
}

/** Every option of {@link LoadTarget}. */
export const LOAD_TARGET: OptionNames<LoadTarget> = { store: true, state: true };

/** @throws TypeError for an invalid target, such as the store itself. */
export function requireLoadTarget(target: LoadTarget): void {
  if (target instanceof TensorStore) {
    throw new TypeError("Expected { store, state } to load into, found a TensorStore; pass { store }");
  }
  checkOptions("What is loaded into", target, LOAD_TARGET);
  requireAwaited("The store", target.store, "TensorStore.open()");
}

/**
 * Options of {@link loadCheckpoint}, named as DeepSpeed names them, and which tensors are loaded how. A dry run
 * changes no state either.
 */
export interface LoadCheckpointOptions extends PartialLoadOptions, Work {
  /** Which checkpoint, by its tag, or its step as a number; the newest that verifies unless given. */
  readonly tag?: string | number | undefined;
  /** Whether the tensors have to fit exactly. Default true. */
  readonly loadModuleStrict?: boolean | undefined;
  /** Default true. */
  readonly loadOptimizerStates?: boolean | undefined;
  /** Whether state named `lrScheduler` or `scheduler` is put back. Default true. */
  readonly loadLrSchedulerStates?: boolean | undefined;
  /** Load the group `model` and nothing else. Default false. */
  readonly loadModuleOnly?: boolean | undefined;
  /**
   * Loads the model's tensors instead of Cairn. The reader is verified; it is closed afterwards. When it throws,
   * those tensors are put back to what they were.
   */
  readonly customLoadFn?: ((reader: ContainerReader, store: TensorStore) => void | Promise<void>) | undefined;
  /** Loads as one of several ranks, which need not be as many as saved it; see `Checkpoint.forRank`. */
  readonly ranks?: RankView | undefined;
}

/** Every option of {@link LoadCheckpointOptions}. */
export const LOAD_CHECKPOINT_OPTIONS: OptionNames<LoadCheckpointOptions> = {
  ...PARTIAL_LOAD_OPTIONS,
  tag: true,
  loadModuleStrict: true,
  loadOptimizerStates: true,
  loadLrSchedulerStates: true,
  loadModuleOnly: true,
  customLoadFn: true,
  ranks: true,
  ...WORK_OPTIONS,
};

/** What {@link loadCheckpoint} did. */
export interface LoadCheckpointResult {
  /** Full name of the checkpoint that was loaded; null when there was none, and then nothing was changed. */
  readonly path: string | null;
  /** Its tag; null when there was no checkpoint. */
  readonly tag: string | null;
  /** What `saveCheckpoint` was given as `clientState`; null when there was no checkpoint. */
  readonly clientState: HostState;
  /** About the store's tensors; `undefined` when none were asked for. */
  readonly report: LoadReport | undefined;
  /** How the tensors that ranks saved became those of this one; `undefined` when nothing was loaded. */
  readonly placement: PlacementReport | undefined;
  /** Newer checkpoints that were passed over, and why. */
  readonly skipped: readonly SkippedCheckpoint[];
}

/**
 * Loads a checkpoint: the one with the tag, or the newest of which every byte is sound. The file `latest` is not
 * trusted. Until the file has been read and checked as a whole and everything fits, nothing in the target changes.
 *
 * @throws CairnError `state_mismatch` when something does not fit; `checksum_mismatch` when the tagged one is
 * damaged.
 */
export async function loadCheckpoint(
  loadDir: EngineTarget,
  target: LoadTarget = {},
  options: LoadCheckpointOptions = {},
): Promise<LoadCheckpointResult> {
  checkOptions("loadCheckpoint()", options, LOAD_CHECKPOINT_OPTIONS, '{ tag: "100" }');
  requireLoadTarget(target);
  const { tag } = options;
  const progress = workOf(options);
  const { checkpoint, skipped } = await find(loadDir, tag, progress);
  if (checkpoint === undefined) {
    return { path: null, tag: null, clientState: null, report: undefined, placement: undefined, skipped };
  }
  try {
    const { dryRun = false, ranks, customLoadFn } = options;
    // As one of several ranks, or with a load function, not all of it is read.
    if (!dryRun && (ranks !== undefined || customLoadFn !== undefined)) await checkpoint.verify(progress);
    const { placement } = checkpoint.forRank(ranks ?? {});
    const names = namesToRestore(target, options);
    if (names.length > 0) requireOwnState(checkpoint);
    const { store, state } = target;
    let clientState = dryRun ? await checkpoint.clientState() : undefined;
    const outcome = await restore(checkpoint.source, { store, state }, {
      ...tensorsToLoad(store, options),
      names,
      check: (saved) => requireState(names, saved, checkpoint.source.title),
      prepare: async () => {
        clientState = await checkpoint.clientState();
        return undefined;
      },
      putState: async (changes) => {
        for (const name of names) await changes.restore(name);
        if (store !== undefined && customLoadFn !== undefined) {
          await withRollback(store, MODEL_GROUP, () => customLoadFn(checkpoint.reader, store));
        }
      },
    });
    const report = store === undefined ? undefined : outcome.tensors;
    return { path: checkpoint.path, tag: checkpoint.tag, clientState, report, placement, skipped };
  } finally {
    await checkpoint.close();
  }
}

async function find(
  loadDir: EngineTarget,
  tag: string | number | undefined,
  options: Work,
): Promise<{ checkpoint: Checkpoint | undefined; skipped: readonly SkippedCheckpoint[] }> {
  if (loadDir === "") throw new TypeError("The directory to load from must not be empty");
  if (tag !== undefined) checkTag(tag);
  const engine = await openEngine(loadDir);
  if (tag === undefined) return await recover(engine, options);
  try {
    const loading = pickOptions<EngineLoadOptions>(options, ENGINE_LOAD_OPTIONS);
    return { checkpoint: await engine.load(tag, loading), skipped: [] };
  } catch (error) {
    if (error instanceof CairnError && error.code === "not_found") {
      return { checkpoint: undefined, skipped: [] };
    }
    throw error;
  }
}

/** @throws CairnError `state_mismatch` for a rank that did not exist when the checkpoint was saved. */
function requireOwnState({ tag, path, placement }: Checkpoint): void {
  const { hasState, rank, savedWorldSize } = placement;
  if (hasState) return;
  throw new CairnError(
    "state_mismatch",
    `Cannot load checkpoint "${tag}" (${path}): ${savedWorldSize} ranks saved it, and there is no state of rank ${rank}; ` +
      "load its tensors only, without state in the target, and set that rank's state up anew",
    { details: { tag, path } },
  );
}

function namesToRestore(target: LoadTarget, options: LoadCheckpointOptions): string[] {
  const { loadModuleOnly = false, loadLrSchedulerStates = true } = options;
  if (loadModuleOnly || target.state === undefined) return [];
  return Object.keys(target.state).filter((name) => loadLrSchedulerStates || !SCHEDULER_NAMES.includes(name));
}

/** Which tensors are loaded, and how. */
function tensorsToLoad(store: TensorStore | undefined, options: LoadCheckpointOptions): RestorePlan {
  const {
    loadModuleStrict: strict = true,
    loadOptimizerStates = true,
    loadModuleOnly = false,
    customLoadFn,
    ...loading
  } = options;
  const isOptimizer = (group: string): boolean =>
    group === OPTIMIZER_PREFIX || group.startsWith(`${OPTIMIZER_PREFIX}.`);
  const groups = (loadModuleOnly ? [MODEL_GROUP] : store?.groups().map(({ name }) => name) ?? [])
    .filter((group) => loadOptimizerStates || !isOptimizer(group))
    .filter((group) => customLoadFn === undefined || group !== MODEL_GROUP);
  return { ...loading, groups, strict };
}
