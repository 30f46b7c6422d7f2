import { type Work, WORK_OPTIONS } from "../../base/work.ts";
import { MODEL_GROUP } from "../../tensor/group_names.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { CairnError } from "../../base/errors.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";
import type { Checkpoint } from "../file/checkpoint.ts";
import type { HostState } from "../capture/state_types.ts";
import { type LoadTarget, OPTIMIZER_PREFIX, requireLoadTarget, SCHEDULER_NAMES } from "./load_checkpoint.ts";
import type { PartialLoadOptions } from "../restore/partial_load_options.ts";
import type { LoadReport, TensorComparison } from "../restore/load_report.ts";
import { FIT_OPTIONS } from "../restore/tensor_fit.ts";
import { adaptModulePrefix } from "./module_prefix.ts";
import { openCheckpoint } from "../file/open_path.ts";
import { type CheckpointLoadOptions, restore } from "../restore/restore.ts";
import type { StateChanges } from "../restore/state_changes.ts";
import { compareState, type StateReport } from "../restore/restore_state.ts";

/** Options of {@link loadParts}. A part that is skipped stays as it is and is not missed. */
export interface LoadPartsOptions extends Work, Omit<PartialLoadOptions, "dryRun"> {
  /**
   * True, the default: every part has to be there and fit, or nothing changes. False: the model's tensors that fit
   * are taken, and each other part that fails is left out, with a warning of its own.
   */
  readonly strict?: boolean | undefined;
  /** The groups `optimizer.<slot>`, and state named `optimizer`. */
  readonly skipOptimizer?: boolean | undefined;
  /** State named `lrScheduler` or `scheduler`. */
  readonly skipScheduler?: boolean | undefined;
  /** State named `history`. */
  readonly skipHistory?: boolean | undefined;
  /** State named `callbacks`. */
  readonly skipCallbacks?: boolean | undefined;
  /** State and groups of any other name. */
  readonly skip?: readonly string[] | undefined;
}

/** Every option of {@link LoadPartsOptions}. */
export const LOAD_PARTS_OPTIONS: OptionNames<LoadPartsOptions> = {
  ...WORK_OPTIONS,
  only: true,
  exclude: true,
  rename: true,
  ...FIT_OPTIONS,
  strict: true,
  skipOptimizer: true,
  skipScheduler: true,
  skipHistory: true,
  skipCallbacks: true,
  skip: true,
};

/** What {@link loadParts} did. */
export interface LoadPartsReport extends LoadReport {
  /** About everything that is no tensor of a store, by name. */
  readonly state: StateReport;
  /** One for each part that was left out although it was asked for. */
  readonly warnings: readonly string[];
}

/**
 * Loads a checkpoint's parts into a store and a state: the model, which has to be there, and whatever else was saved,
 * except what is skipped. Follows NNHandler's `load`; a scheduler is left out where the optimiser is, as it would go
 * on from another one.
 *
 * @param path Of the file, with or without ".cairn".
 * @throws CairnError `not_found`; `checksum_mismatch`; `state_mismatch` when it has no model, or, where `strict`,
 * when something does not fit. Then nothing has changed.
 */
export async function loadParts(
  path: string | URL,
  target: LoadTarget,
  options: LoadPartsOptions = {},
): Promise<LoadPartsReport> {
  checkOptions("loadParts()", options, LOAD_PARTS_OPTIONS, "{ skipOptimizer: true }");
  requireLoadTarget(target);
  const checkpoint = await openCheckpoint(path, options.signal);
  try {
    return await loadFrom(checkpoint, target, options);
  } finally {
    await checkpoint.close();
  }
}

async function loadFrom(
  checkpoint: Checkpoint,
  { store, state = {} }: LoadTarget,
  options: LoadPartsOptions,
): Promise<LoadPartsReport> {
  const { strict = true } = options;
  const isSkipped = skippedBy(options);
  const names = Object.keys(state).filter((name) => !isSkipped(name));
  const plan = store === undefined ? undefined : await planTensors(checkpoint, store, options);
  const isOptimizerOut = plan?.optimizerProblem !== undefined;
  const parts = new StateParts(strict, isOptimizerOut);
  const outcome = await restore(checkpoint.source, { store, state }, {
    ...options,
    ...plan?.loading,
    names,
    putState: (changes, { saved }) => parts.restore(names, changes, saved),
  });
  return {
    ...outcome.tensors,
    state: { ...outcome.state, restored: parts.restored },
    warnings: [
      ...plan?.optimizerProblem === undefined ? [] : [leftOut("The optimiser", plan.optimizerProblem)],
      ...misfitsOf(outcome.tensors),
      ...parts.warnings,
    ],
  };
}

function misfitsOf({ missing, unexpected, mismatched }: TensorComparison): string[] {
  const misfits = [...missing, ...unexpected, ...mismatched.map(({ name }) => name)];
  if (misfits.length === 0) return [];
  return [`${misfits.length} of the tensors did not fit, "${misfits[0]}" for one; the report names them all`];
}

function leftOut(part: string, why: string): string {
  return `${part} was left out: ${why}`;
}

/** Puts the parts of the state back, each of which may fail by itself unless `isStrict`. */
class StateParts {
  readonly restored: string[] = [];
  readonly warnings: string[] = [];
  readonly #isStrict: boolean;
  #isOptimizerOut: boolean;

  constructor(isStrict: boolean, isOptimizerOut: boolean) {
    this.#isStrict = isStrict;
    this.#isOptimizerOut = isOptimizerOut;
  }

  async restore(names: readonly string[], changes: StateChanges, saved: HostState): Promise<void> {
    // The optimiser first, as the schedule depends on it.
    const isLater = (name: string): number => name === OPTIMIZER_PREFIX ? 0 : 1;
    for (const name of [...names].sort((a, b) => isLater(a) - isLater(b))) {
      const isDropped = this.#isOptimizerOut && SCHEDULER_NAMES.includes(name);
      const problem = isDropped ? "so was the optimiser" : await this.#restoreOne(name, changes, saved);
      if (problem === undefined) this.restored.push(name);
      else {
        this.#isOptimizerOut ||= name === OPTIMIZER_PREFIX;
        this.warnings.push(leftOut(`State "${name}"`, problem));
      }
    }
  }

  /** Gives what went wrong, unless that is to be an error. */
  async #restoreOne(name: string, changes: StateChanges, saved: HostState): Promise<string | undefined> {
    if (compareState([name], saved).missing.length > 0) return "it was not saved";
    try {
      await changes.restore(name);
      return undefined;
    } catch (error) {
      if (this.#isStrict) throw error;
      return error instanceof Error ? error.message : String(error);
    }
  }
}

/** What is loaded into the store: without the optimiser when some of it does not fit, unless that is to be an error. */
async function planTensors(
  checkpoint: Checkpoint,
  store: TensorStore,
  options: LoadPartsOptions,
): Promise<{ loading: CheckpointLoadOptions; optimizerProblem: string | undefined }> {
  const isSkipped = skippedBy(options);
  const groups = store.groups().map(({ name }) => name).filter((name) => !isSkipped(name));
  const rename = options.rename ?? adaptModulePrefix(checkpoint.reader, store);
  const planning = { ...options, groups, rename, dryRun: true };
  const { tensors: plan } = await restore(checkpoint.source, { store }, planning);
  if (!plan.loaded.some((name) => name.startsWith(`${MODEL_GROUP}.`))) {
    throw new CairnError(
      "state_mismatch",
      `Cannot load checkpoint "${checkpoint.tag}" (${checkpoint.path}): it has nothing that fits the model. Nothing was changed`,
      { details: { tag: checkpoint.tag, path: checkpoint.path, value: plan } },
    );
  }
  const misfit = [...plan.missing, ...[...plan.mismatched, ...plan.skipped].map(({ name }) => name)]
    .find(isOptimizerName);
  if (misfit === undefined || (options.strict ?? true)) {
    return { loading: { groups, rename }, optimizerProblem: undefined };
  }
  return {
    loading: { groups: groups.filter((name) => !isOptimizerName(name)), rename },
    optimizerProblem: `"${misfit}" is missing or does not fit`,
  };
}

function skippedBy(options: LoadPartsOptions): (name: string) => boolean {
  const { skipOptimizer, skipScheduler, skipHistory, skipCallbacks, skip = [] } = options;
  const names = new Set([
    ...skipScheduler === true ? SCHEDULER_NAMES : [],
    ...skipHistory === true ? ["history"] : [],
    ...skipCallbacks === true ? ["callbacks"] : [],
    ...skip,
  ]);
  return (name) => names.has(name) || (skipOptimizer === true && isOptimizerName(name));
}

/** Whether a group, a tensor or a name of the state is the optimiser's. */
function isOptimizerName(name: string): boolean {
  return name === OPTIMIZER_PREFIX || name.startsWith(`${OPTIMIZER_PREFIX}.`);
}
