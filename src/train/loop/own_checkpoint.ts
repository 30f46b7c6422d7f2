import { CairnError } from "../../base/errors.ts";
import type { Checkpoint } from "../../checkpoint/file/checkpoint.ts";
import { compareTensors, requireMatch, type TensorComparison } from "../../checkpoint/restore/load_report.ts";
import type { RestorePlan } from "../../checkpoint/restore/restore.ts";
import { TensorPlan } from "../../checkpoint/restore/tensor_plan.ts";
import {
  AVERAGE_SLOT,
  CONTROL_TENSOR,
  LOSS_SCALE_TENSOR,
  slotGroup,
  TERMS_GROUP,
} from "../../tensor/group_names.ts";
import { columnsOf } from "../step/kept_terms.ts";
import { emptyRing, LossRing, termRing } from "./loss_ring.ts";
import type { Run } from "./run.ts";
import { type Allowance, differentRun, type RunDifference } from "./run_identity.ts";
import { fromStateTree, type TrainingState } from "./training_state.ts";

/** What has to be the same in a checkpoint that is loaded by its name: what says what step, batches and tensors are. */
const NEVER_LOADABLE: ReadonlySet<string> = new Set(["seed", "optimizer", "batchSize", "batchesPerEpoch"]);

/** For a checkpoint that was named by the caller. */
export const LOADABLE: Allowance = ({ what }) => !NEVER_LOADABLE.has(what);

/** A checkpoint that a run can resume from. */
export interface OwnState {
  readonly state: TrainingState;
  /** In what it differs from the run, as was allowed. */
  readonly differences: readonly RunDifference[];
  /** Which of its tensors are taken. */
  readonly plan: Pick<RestorePlan, "groups" | "defaults" | "optional" | "exclude">;
  /** Updates that the optimiser has done, where the tensors that are taken do not say that. */
  readonly updates: number | undefined;
  /** Whether the averages of the weights begin here, with the weights that are taken. */
  readonly beginsAverage: boolean;
  /** Whether what the optimiser has is taken; it begins at zero otherwise. */
  readonly takesMoments: boolean;
}

/**
 * Checks whether a run can resume from a checkpoint, by everything but the bytes of its tensors.
 *
 * @throws CairnError `state_mismatch` that names every difference; and for a state that no trainer wrote.
 */
export async function ownState(
  run: Run,
  checkpoint: Checkpoint,
  isAllowed: Allowance,
  advice?: string,
): Promise<OwnState> {
  const { tag, reader, source } = checkpoint;
  const state = fromStateTree(await checkpoint.state(), tag);
  requireWhole(state, checkpoint);
  const differences = run.record.differencesFrom(state);
  if (!differences.every(isAllowed)) throw differentRun(differences.filter((each) => !isAllowed(each)), tag);
  const { plan, ...rest } = planOf(run, checkpoint, differences, state.step);
  const { report } = TensorPlan.of(run.store, reader, {
    ...plan,
    excused: [...source.excludedTensors, ...plan.optional ?? []],
    castFrom: source.castFrom,
  });
  requireMatch(report, source.title, advice);
  if (rest.takesMoments) requireMatch(fitOnOthers(run, checkpoint), source.title, advice);
  return { state, differences, plan, ...rest };
}

/** What to do with a checkpoint of another model, for `resume`, which has no `strict`. */
const ADVICE = "take the weights alone with warmStart(), or save this run into another directory";

/** Why a run cannot resume from a checkpoint; `undefined` if it can. @throws what is wrong with the file. */
export async function whyNotOwn(
  run: Run,
  checkpoint: Checkpoint,
  isAllowed: Allowance,
): Promise<CairnError | undefined> {
  try {
    await ownState(run, checkpoint, isAllowed, ADVICE);
    return undefined;
  } catch (error) {
    if (error instanceof CairnError && error.code === "state_mismatch") return error;
    throw error;
  }
}

/**
 * The tensors of another optimiser are left in the file. If it lacks one that this optimiser has, all of those begin
 * at zero, as does the count of updates: moments of another age than the count would be corrected wrongly. What was
 * kept of the steps of another loss is left, too. The first version kept no count, and skipped nothing.
 */
function planOf(
  run: Run,
  { reader }: Checkpoint,
  differences: readonly RunDifference[],
  step: number,
): Omit<OwnState, "state" | "differences"> {
  const { store } = run;
  const isOther = differences.some(({ part: setting }) => setting === "optimizer");
  const isOtherLoss = differences.some(({ part: setting }) => setting === "loss");
  const slotTensors = run.slots.flatMap((slot) => store.group(slot).tensors);
  const others = run.steps.rules.momentsOfOthers(run.model.group);
  const missing = isOther ? slotTensors.filter(({ name }) => !reader.has(name)) : [];
  const lacksOthers = isOther && others.some(({ name }) => !reader.has(name));
  // An average of weights needs no count: it can begin at any time, with the weights as they are.
  const beginsAverage = missing.length > 0 && missing.every(({ group }) => group === slotGroup(AVERAGE_SLOT));
  const fresh = missing.length === 0 && !lacksOthers
    ? []
    : beginsAverage
    ? [slotGroup(AVERAGE_SLOT)]
    : run.slots;
  const zeros = slotTensors
    .filter(({ group, aliasOf }) => fresh.includes(group) && aliasOf === undefined)
    .map(({ name, byteLength }) => [name, new Uint8Array(byteLength)] as const);
  const unknown = columnsOf(run.kept).map((name) => [termRing(name), emptyRing()] as const);
  const groups = store.groups().map(({ name }) => name).filter((name) =>
    !fresh.includes(name) && !(isOtherLoss && name === TERMS_GROUP)
  );
  // What a run measures of its steps may change; and where the optimiser may, what it keeps.
  const isPartial = isOther || isOtherLoss;
  const changing = [TERMS_GROUP, ...isOther ? run.slots : []].filter((name) =>
    !isPartial || groups.includes(name)
  );
  const left = reader.tensors.map(({ name }) => name).filter((name) =>
    !store.has(name) && (name === LOSS_SCALE_TENSOR || changing.some((group) => name.startsWith(`${group}.`)))
  );
  const takesMoments = fresh.length === 0;
  const ofOthers = takesMoments ? others.map(({ name }) => name).filter((name) => reader.has(name)) : [];
  return {
    plan: {
      groups: isPartial ? groups : undefined,
      exclude: [...left, ...ofOthers],
      defaults: new Map([...zeros, ...unknown]),
      optional: [CONTROL_TENSOR, LOSS_SCALE_TENSOR],
    },
    updates: fresh.length > 0 && !beginsAverage ? 0 : reader.has(CONTROL_TENSOR) ? undefined : step,
    beginsAverage,
    takesMoments,
  };
}

/** How the file fits what other ranks keep of the optimiser. */
function fitOnOthers({ model, steps: { rules } }: Run, { reader, source }: Checkpoint): TensorComparison {
  const wanted = rules.momentsOfOthers(model.group);
  const names = new Set(wanted.map(({ name }) => name));
  const found = reader.tensors.filter(({ name }) => names.has(name));
  return compareTensors(
    wanted,
    new Map(found.map((each) => [each.name, { ...each, castFrom: source.castFrom.get(each.name) }])),
    new Set(),
  );
}

/** @throws CairnError `state_mismatch` for a state that contradicts the manifest or itself. */
function requireWhole({ step, history: { loss } }: TrainingState, { tag, provenance }: Checkpoint): void {
  LossRing.requireRest(loss.length, step, tag);
  const found = provenance.step ?? step;
  if (found === step) return;
  throw new CairnError(
    "state_mismatch",
    `Cannot resume from "${tag}": its manifest says step ${found}, and its state step ${step}, as no trainer writes it; give ` +
      "another checkpoint",
    { details: { tag } },
  );
}
