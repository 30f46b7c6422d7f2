import { TensorStore } from "../tensor/tensor_store.ts";
import type { CheckpointState } from "./capture/frozen_checkpoint.ts";
import type { Stateful, StateInput } from "./capture/state_types.ts";
import type { StateByName } from "./restore/restore_state.ts";
import type { SnapshotOptions } from "./snapshot_options.ts";

/** What a `Snapshot` covers, by name: one store of tensors, and whatever else there is. */
export type SnapshotState = { [name: string]: StateInput | TensorStore };

/** What a `Snapshot` of one file saves: a store, something with a state of its own, or both and more by name. */
export type ModelState = TensorStore | Stateful | SnapshotState;

/** The two numbers that every snapshot has of itself. */
export type ExtraState = { step: number; walltime: number };

/** The store, and everything else. */
export function partsOf(state: SnapshotState): { store: TensorStore | undefined; rest: StateByName } {
  let store: TensorStore | undefined;
  const rest: StateByName = {};
  for (const [name, value] of Object.entries(state)) {
    if (!(value instanceof TensorStore)) rest[name] = value;
    else if (store === undefined) store = value;
    else throw new TypeError(`A snapshot covers one TensorStore; "${name}" is a second one`);
  }
  return { store, rest };
}

/** What is saved of a state. */
export function checkpointOf(
  state: SnapshotState,
  { storedDType, modelCode }: SnapshotOptions,
): CheckpointState {
  const { store, rest } = partsOf(state);
  return { store, state: rest, storedDType, modelCode };
}
