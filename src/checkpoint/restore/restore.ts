import { startThroughput, type Work, workOf } from "../../base/work.ts";
import type { DType } from "../../base/dtype.ts";
import type { ContainerReader } from "../../container/read/container_reader.ts";
import { isDamage } from "../../container/format/damage.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";
import type { HostState } from "../capture/state_types.ts";
import { compareTensors, type LoadReport, requireMatch, type TensorComparison } from "./load_report.ts";
import { compareState, requireState, type StateReport } from "./restore_state.ts";
import type { StagedTensors } from "./staged_tensors.ts";
import { StateChanges } from "./state_changes.ts";
import type { PartialLoadOptions } from "./partial_load_options.ts";
import { TensorPlan } from "./tensor_plan.ts";

/** A checkpoint, open, as far as a restore cares. */
export interface RestoreSource {
  readonly reader: ContainerReader;
  /** For messages: `checkpoint "step-100" (runs/step-100.cairn)`. */
  readonly title: string;
  /** Names of tensors that were left out on purpose when it was saved. */
  readonly excludedTensors: Iterable<string>;
  /** By name, the dtype that tensors had when they were saved which the file has with another one. */
  readonly castFrom: ReadonlyMap<string, DType>;
  /** Whether every byte was read and checked through this very handle. */
  readonly isVerified: boolean;
  /** Whether all there is to check is the one file of {@link reader}, so that it can be checked while it is loaded. */
  readonly isOneFile: boolean;
  /** Reads and checks every byte. Afterwards `reader` may be another one, of a sound copy. */
  verify(options?: Work): Promise<void>;
  /** The state that was saved. */
  state(): Promise<HostState>;
  /** Told that every byte was read. */
  onVerified(): void;
  /** @throws CairnError `state_mismatch` where something that ranks had of their own would be lost. */
  requireMappable(store: TensorStore, options: PartialLoadOptions): void;
}

/** What a checkpoint is restored into. */
export interface RestoreTarget {
  readonly store?: TensorStore | undefined;
  /** Put back in place, name by name; see {@link StateChanges}. */
  readonly state?: { [name: string]: unknown } | undefined;
}

/** Options of `Checkpoint.loadInto`. */
export interface CheckpointLoadOptions extends PartialLoadOptions, Work {
  /** Names of the store's groups to load; all of them unless given. */
  readonly groups?: readonly string[] | undefined;
  /** Whether all that is asked for has to be there and fit. Default true. */
  readonly strict?: boolean | undefined;
}

/** What of a checkpoint is restored, and what else comes with it. */
export interface RestorePlan extends CheckpointLoadOptions {
  /** Names of tensors that are not missed: older versions saved none of the name. They keep what they have. */
  readonly optional?: readonly string[] | undefined;
  /** Names of the state to put back, in this order; all of the target's unless given. */
  readonly names?: readonly string[] | undefined;
  /** By the store's names, what tensors get that the file does not have, and which are then not missed. */
  readonly defaults?: ReadonlyMap<string, Uint8Array> | undefined;
  /** What the caller can do when tensors do not fit, for the message. */
  readonly advice?: string | undefined;
  /** Refuses a checkpoint by the state that was saved, before its tensors are looked at. */
  readonly check?: ((saved: HostState) => void) | undefined;
  /**
   * Looks at what was found, when the plan is made and nothing is read yet but the state: reads what else is to be
   * taken, and refuses what is not.
   *
   * @returns What takes effect together with the tensors, in the same tick. It must not throw.
   */
  readonly prepare?: (found: FoundCheckpoint) => Promise<(() => void) | undefined>;
  /**
   * Code of the caller's, run last before the point of effect; what it throws rolls the restore back. Puts back every
   * name unless given.
   */
  readonly putState?: ((changes: StateChanges, found: FoundCheckpoint) => Promise<void>) | undefined;
}

/** What a restore has found before it changes anything. */
export interface FoundCheckpoint {
  readonly saved: HostState;
  readonly report: TensorComparison;
}

/** What {@link restore} did, or would do. */
export interface RestoreOutcome {
  /** About the store's tensors. */
  readonly tensors: LoadReport;
  /** About everything else, by name. */
  readonly state: StateReport;
  /** Everything else that was saved. */
  readonly saved: HostState;
}

/**
 * The one way in which a checkpoint is restored. It is open; then it is
 * 1. verified, if that cannot be done while it is read;
 * 2. planned: tables are compared and the saved state is read, and what does not fit is refused;
 * 3. read and checked: tensors are staged, and then the caller's own objects take their state, which is rolled back
 *    when something fails from here on;
 * 4. applied, in one tick. Nothing that can fail comes after that point.
 *
 * So a restore that fails leaves everything as it was. There are two exceptions: the device is lost, and the tensors
 * with it; or an object of the caller's takes neither the new state nor its old one, which is an `AggregateError`.
 *
 * @throws CairnError `state_mismatch` when `strict` and something does not fit; `checksum_mismatch` for a damaged
 * file; `device_lost`; and what objects of the caller's throw.
 */
export async function restore(
  source: RestoreSource,
  target: RestoreTarget,
  plan: RestorePlan = {},
): Promise<RestoreOutcome> {
  const { dryRun = false } = plan;
  const throughputOf = startThroughput();
  const reading = { signal: plan.signal, onProgress: plan.onProgress };
  const { store, state = {} } = target;
  // `prepare` may replace a lost device.
  if (plan.prepare === undefined) store?.gpu.assertAlive();
  if (!dryRun && (store === undefined || !source.isOneFile)) await source.verify(workOf(plan));
  const planned = await namingAllDamage(source, plan, () => planRestore(source, target, plan));
  const { found, tensors, names } = planned;
  const { report, saved } = found;
  const outcomeOf = (byteLength: number): RestoreOutcome => {
    return { tensors: { ...report, ...throughputOf(byteLength) }, state: compareState(names, saved), saved };
  };
  if (dryRun) return outcomeOf(0);
  const takeEffect = await namingAllDamage(source, plan, async () => await plan.prepare?.(found));
  const staged = await namingAllDamage(source, plan, () => stage(source, tensors, reading));
  try {
    const changes = new StateChanges(state, found.saved);
    try {
      if (plan.putState !== undefined) await plan.putState(changes, found);
      else for (const name of names) await changes.restore(name);
      plan.signal?.throwIfAborted();
      store?.gpu.assertAlive();
    } catch (error) {
      await changes.rollback(error);
      throw error;
    }
    // TAKES EFFECT: all of it in this tick, and nothing that can fail comes after.
    const applying = staged?.apply();
    takeEffect?.();
    await applying;
  } finally {
    staged?.free();
  }
  return outcomeOf(tensors?.byteLength ?? 0);
}

interface PlannedRestore {
  readonly found: FoundCheckpoint;
  readonly tensors: TensorPlan | undefined;
  readonly names: readonly string[];
}

async function planRestore(
  source: RestoreSource,
  { store, state = {} }: RestoreTarget,
  plan: RestorePlan,
): Promise<PlannedRestore> {
  const { strict = true, dryRun = false, names = Object.keys(state) } = plan;
  const isRequired = strict && !dryRun;
  if (isRequired && store !== undefined) source.requireMappable(store, plan);
  const saved = await source.state();
  if (!dryRun) plan.check?.(saved);
  if (isRequired) requireState(names, saved, source.title);
  const tensors = store === undefined ? undefined : TensorPlan.of(store, source.reader, {
    ...plan,
    excused: [...source.excludedTensors, ...plan.optional ?? []],
    castFrom: source.castFrom,
  });
  const report = tensors?.report ?? compareTensors([], new Map(), new Set());
  if (isRequired) requireMatch(report, source.title, plan.advice);
  return { found: { saved, report }, tensors, names };
}

async function stage(
  source: RestoreSource,
  tensors: TensorPlan | undefined,
  reading: Work,
): Promise<StagedTensors | undefined> {
  if (tensors === undefined) return undefined;
  const staged = await tensors.stage(source.reader, { ...reading, readsAll: !source.isVerified });
  source.onVerified();
  return staged;
}

/** Runs `work`; when it finds damage, all that is damaged is named, and not only what was found first. */
async function namingAllDamage<T>(
  source: RestoreSource,
  plan: Work,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isDamage(error)) await source.verify({ signal: plan.signal });
    throw error;
  }
}
