import { CairnError } from "../../base/errors.ts";
import type { Model } from "../../nn/model.ts";
import { groupOf, groupsOf, MODEL_GROUP } from "../../tensor/group_names.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";

/** What trains a model in a store. */
export interface StoreUser {
  readonly kind: "Trainer" | "TrainStep";
  /** The name of its model, among several in the store. */
  readonly name: string | undefined;
  /** Gives its parameters their first values, once. */
  initialize(): Promise<void>;
}

/** Those that are open, by store. */
const users = new WeakMap<TensorStore, Set<StoreUser>>();

/** The open one that trains the model called `name`, if there is one. */
export function userOf(store: TensorStore, name: string): StoreUser | undefined {
  return [...users.get(store) ?? []].find((user) => user.name === name);
}

/**
 * Gives the model of `user` a place in `store`: a new one, or that of one that was closed, whose weights it goes on
 * with and whose other groups are freed.
 *
 * @param define Makes its groups where there are none.
 * @param over The model over the group that is there.
 * @throws TypeError where another one is in the way, with what to do; CairnError `state_mismatch` for a group that is
 * of another model.
 */
export function placeModel(
  store: TensorStore,
  user: StoreUser,
  { takesOver, define, over }: {
    readonly takesOver: boolean;
    readonly define: () => Model;
    readonly over: () => Model;
  },
): { readonly model: Model; readonly isTakenOver: boolean } {
  const open = users.get(store) ?? new Set();
  for (const other of open) requireBoth(other, user);
  const names = store.groups().map(({ name }) => name);
  const group = groupOf(user.name, MODEL_GROUP);
  const left = groupsOf(user.name, names);
  if (left.length > 0 && !takesOver) throw groupInTheWay(left[0] ?? group, user);
  const isTakenOver = names.includes(group);
  const model = isTakenOver ? over() : define();
  const problems = isTakenOver ? model.unmet() : [];
  if (problems.length > 0) throw otherModel(group, problems);
  store.remove(left.filter((name) => name !== group));
  users.set(store, open.add(user));
  return { model, isTakenOver };
}

function groupInTheWay(group: string, user: StoreUser): TypeError {
  return new TypeError(
    `There is a group "${group}" in the store already, of a ${user.kind} that was closed or of your own; ` +
      "{ takeOver: true } goes on with its weights, close({ free: true }) of the one before frees them, and " +
      'TrainStep.define(store, { name: "critic", … }) trains another model beside it',
  );
}

/**
 * Its groups may be taken over from now on.
 *
 * @param frees Whether they are freed at once.
 */
export function leaveStore(store: TensorStore, user: StoreUser, frees: boolean): void {
  const wasThere = users.get(store)?.delete(user) === true;
  if (wasThere && frees) store.remove(groupsOf(user.name, store.groups().map(({ name }) => name)));
}

function otherModel(group: string, problems: readonly string[]): CairnError {
  const shown = problems.slice(0, 5).join("; ");
  const rest = problems.length > 5 ? `; and ${problems.length - 5} more` : "";
  return new CairnError(
    "state_mismatch",
    `Cannot take over the group "${group}": ${shown}${rest}. Give the same model, or another name`,
  );
}

function requireBoth(there: StoreUser, user: StoreUser): void {
  const who = (each: StoreUser): string =>
    each.name === undefined ? `a ${each.kind}` : `the ${each.kind} "${each.name}"`;
  if (there.kind === "Trainer" || user.kind === "Trainer") {
    throw new TypeError(
      `The store is in use by ${
        who(there)
      }, and a Trainer needs its own, since its checkpoints have its own state ` +
        "only. Close that one first, open another store, or train several models by " +
        'TrainStep.define(store, { name: "critic", … }) and save them with one Snapshot',
    );
  }
  if (there.name !== user.name) return;
  throw new TypeError(
    `The store is in use by ${
      who(there)
    }; give this one another name, such as { name: "critic" }, or close that ` +
      "one first",
  );
}
