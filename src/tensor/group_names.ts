/** Group of a store that holds a model's parameters; a parameter `0.weight` is its tensor `model.0.weight`. */
export const MODEL_GROUP = "model";

/** Group of a store that holds what a trainer keeps on the GPU beside the model: its last losses, and its control. */
export const TRAINER_GROUP = "trainer";

/** Full name of the tensor with the control of a run: u32 words, of which the third counts its updates. */
export const CONTROL_TENSOR: string = `${TRAINER_GROUP}.control`;

/** Group of a store that holds what a trainer keeps of its last steps beside the loss, a tensor each. */
export const TERMS_GROUP = "step_terms";

/** Group of a store that holds what an optimiser keeps of each parameter under the name `slot`. */
export function slotGroup(slot: string): string {
  return `optimizer.${slot}`;
}

/**
 * The slot that holds what a model is evaluated and exported with, where an optimiser keeps averages of its weights.
 */
export const AVERAGE_SLOT = "average";
