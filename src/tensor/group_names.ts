/**
 * `group` of the model that is called `owner`, such as `critic.model`; of a model without a name as it is. So several
 * are in one store.
 */
export function groupOf(owner: string | undefined, group: string): string {
  return owner === undefined ? group : `${owner}.${group}`;
}

/** @throws TypeError for what cannot be the name of one of several models in a store. */
export function requireModelName(what: string, name: string): void {
  const taken = [MODEL_GROUP, OPTIMIZER, TRAINER_GROUP, TERMS_GROUP];
  if (typeof name === "string" && /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !taken.includes(name)) return;
  throw new TypeError(
    `${what}: the name of a model is of letters, digits and _, and none of ${taken.join(", ")}, found ` +
      JSON.stringify(name),
  );
}

/** Group of a store that holds a model's parameters; a parameter `0.weight` is its tensor `model.0.weight`. */
export const MODEL_GROUP = "model";

/** Group of a store that holds what a trainer keeps on the GPU beside the model: its last losses, and its control. */
export const TRAINER_GROUP = "trainer";

/** Full name of the tensor with the control of a run: u32 words, of which the third counts its updates. */
export const CONTROL_TENSOR: string = `${TRAINER_GROUP}.control`;

/** Full name of the tensor that says by what the loss is multiplied, where it is. */
export const LOSS_SCALE_TENSOR: string = `${TRAINER_GROUP}.loss_scale`;

/** Group of a store that holds what a trainer keeps of its last steps beside the loss, a tensor each. */
export const TERMS_GROUP = "step_terms";

/** What stands before the names of slots. */
const OPTIMIZER = "optimizer";

/** All groups of the model that is called `owner` and of what trains it, among `groups`. */
export function groupsOf(owner: string | undefined, groups: readonly string[]): string[] {
  const own = [MODEL_GROUP, TRAINER_GROUP, TERMS_GROUP].map((group) => groupOf(owner, group));
  return groups.filter((name) => own.includes(name) || name.startsWith(`${groupOf(owner, OPTIMIZER)}.`));
}

/** Group of a store that holds what an optimiser keeps of each parameter under the name `slot`. */
export function slotGroup(slot: string): string {
  return `${OPTIMIZER}.${slot}`;
}

/**
 * The slot that holds what a model is evaluated and exported with, where an optimiser keeps averages of its weights.
 */
export const AVERAGE_SLOT = "average";
