import { CairnError } from "../base/errors.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";
import type { Checkpoint, CheckpointLoadOptions, CheckpointReadOptions } from "./checkpoint.ts";
import type { HostState } from "./host_state.ts";
import { type LoadTarget, MODEL_GROUP, OPTIMIZER_PREFIX, SCHEDULER_NAMES } from "./load_checkpoint.ts";
import type { PartialLoadOptions } from "./load_into.ts";
import { compareTensors, type LoadReport } from "./load_report.ts";
import { adaptModulePrefix } from "./module_prefix.ts";
import { openCheckpoint } from "./open_path.ts";
import {
  applyState,
  compareState,
  requireState,
  type StateByName,
  type StateReport,
} from "./restore_state.ts";

/** Options of {@link loadParts}. A part that is skipped stays as it is and is not missed. */
export interface LoadPartsOptions extends CheckpointReadOptions, Omit<PartialLoadOptions, "dryRun"> {
  /**
   * True, the default: every part has to be there and fit, or nothing changes. False: the model's tensors that fit are taken,
   * and each other part that fails is left out, with a warning of its own.
   */
  readonly strict?: boolean;
  /** The groups `optimizer.<slot>`, and state named `optimizer`. */
  readonly skipOptimizer?: boolean;
  /** State named `lrScheduler` or `scheduler`. */
  readonly skipScheduler?: boolean;
  /** State named `history`. */
  readonly skipHistory?: boolean;
  /** State named `callbacks`. */
  readonly skipCallbacks?: boolean;
  /** State and groups of any other name. */
  readonly skip?: readonly string[];
}

/** What {@link loadParts} did. */
export interface LoadPartsReport extends LoadReport {
  readonly state: StateReport;
  /** One for each part that was left out although it was asked for. */
  readonly warnings: readonly string[];
}

/**
 * Loads a checkpoint's parts into a store and a state: the model, which there has to be, and whatever else was saved, some of
 * it skipped. Follows NNHandler's `load`; a scheduler is left out where the optimiser is, as it would go on from another one.
 *
 * @param path Of the file, with or without ".cairn".
 * @throws CairnError `not_found`; `checksum_mismatch`; `state_mismatch` when it has no model, or, where `strict`, when
 * something does not fit. Then nothing has changed.
 */
export async function loadParts(
  path: string | URL,
  target: LoadTarget,
  options: LoadPartsOptions = {},
): Promise<LoadPartsReport> {
  const checkpoint = await openCheckpoint(path, options.signal);
  try {
    await checkpoint.verify(options);
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
  const saved = await checkpoint.state();
  const names = Object.keys(state).filter((name) => !isSkipped(name));
  if (strict) requireState(names, saved, `checkpoint "${checkpoint.tag}"`);
  const warnings: string[] = [];
  const leaveOut = (part: string, why: string): void => void warnings.push(`${part} was left out: ${why}`);
  const plan = store === undefined ? undefined : await planTensors(checkpoint, store, options);
  if (plan?.optimizerProblem !== undefined) leaveOut("The optimiser", plan.optimizerProblem);
  const report = store === undefined
    ? compareTensors([], new Map(), new Set())
    : await checkpoint.loadInto(store, { ...options, ...plan?.loading });
  const misfits = [...report.missing, ...report.unexpected, ...report.mismatched.map(({ name }) => name)];
  if (misfits.length > 0) {
    warnings.push(
      `${misfits.length} of the tensors did not fit, "${misfits[0]}" for one; the report names them all`,
    );
  }
  const restored: string[] = [];
  let isOptimizerOut = plan?.optimizerProblem !== undefined;
  // The optimiser first, as the schedule depends on it.
  const isLater = (name: string): number => name === OPTIMIZER_PREFIX ? 0 : 1;
  for (const name of [...names].sort((a, b) => isLater(a) - isLater(b))) {
    const isDropped = isOptimizerOut && SCHEDULER_NAMES.includes(name);
    const problem = isDropped ? "so was the optimiser" : await restoreOne(state, saved, name, strict);
    if (problem === undefined) restored.push(name);
    else {
      isOptimizerOut ||= name === OPTIMIZER_PREFIX;
      leaveOut(`State "${name}"`, problem);
    }
  }
  return { ...report, state: { ...compareState(names, saved), restored }, warnings };
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
  const plan = await checkpoint.loadInto(store, { ...options, groups, rename, dryRun: true });
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

/** Puts one name of the state back. Gives what went wrong, unless that is to be an error. */
async function restoreOne(
  state: StateByName,
  saved: HostState,
  name: string,
  strict: boolean,
): Promise<string | undefined> {
  if (compareState([name], saved).missing.length > 0) return "it was not saved";
  try {
    await applyState(state, saved, [name]);
    return undefined;
  } catch (error) {
    if (strict) throw error;
    return error instanceof Error ? error.message : String(error);
  }
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
