import { freezeState, type FrozenHostState, thawState } from "../../checkpoint/capture/host_state.ts";
import { CairnError } from "../../base/errors.ts";
import type { AutoSaver } from "../saves/auto_saver.ts";
import type { RestoredLosses } from "../loop/restored_losses.ts";
import type { Run } from "../loop/run.ts";
import { fromStateTree, toStateTree } from "../loop/training_state.ts";

/** What a run was at a moment, beside its tensors: what a checkpoint of then would have, and what it was called. */
export interface RunMoment {
  readonly step: number;
  /** Without the losses of steps, which a run has as long as it goes on. */
  readonly state: FrozenHostState;
  readonly variants: Readonly<Record<string, string>>;
  readonly parent: string | undefined;
  readonly resumedFrom: string | undefined;
}

/** What `run` is now. Throws what a callback throws that gives its state. */
export function momentOf(run: Run, autoSaver: AutoSaver | undefined): RunMoment {
  const { step, parent, resumedFrom, store } = run;
  return {
    step,
    state: freezeState(toStateTree(run.state(autoSaver?.stateDict() ?? null, 0))),
    variants: Object.fromEntries(store.variants),
    parent,
    resumedFrom,
  };
}

/** Of the first `step` steps of a run, all that was read from the GPU. */
export function knownOf({ history }: Run, step: number): RestoredLosses {
  return { losses: history.lossesBetween(0, step), columns: history.columnsBefore(step) };
}

/** What a {@link RunMoment} leaves to others. */
export interface ReturnWork {
  readonly autoSaver: AutoSaver | undefined;
  /** Submits the tensors of then. */
  readonly putBack: () => void;
  /** What is known of the steps before it. Unless given, the history of the run has that. */
  readonly known?: RestoredLosses | undefined;
}

/** Makes `run` what it was at a moment of its own past. Tensors and all else change in one tick. */
export async function returnTo(
  run: Run,
  moment: RunMoment,
  { autoSaver, putBack, known = knownOf(run, moment.step) }: ReturnWork,
): Promise<void> {
  const { step, state: { state, tensors }, variants, parent, resumedFrom } = moment;
  const bytesOf = new Map(tensors.map(({ spec, bytes }) => [spec.name, { ...spec, bytes }]));
  const tree = await thawState(state, (name) => {
    const tensor = bytesOf.get(name);
    if (tensor === undefined) throw new CairnError("invalid_container", `The state has no tensor "${name}"`);
    // What is kept may be put back again.
    return Promise.resolve({ ...tensor, bytes: tensor.bytes.slice() });
  });
  const restored = fromStateTree(tree, `step ${step}`);
  const become = await run.toRestore(restored, {
    ...known,
    updates: undefined,
    variants,
    differences: [],
  });
  putBack();
  become();
  run.parent = parent;
  run.resumedFrom = resumedFrom;
  autoSaver?.loadStateDict(restored.autoSaver);
}
