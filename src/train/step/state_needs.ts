import { alignUp, TENSOR_ALIGNMENT } from "../../base/checked.ts";
import { byteSizeOf, type DType } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import { type MemoryNeeds, needsText } from "../../gpu/memory_room.ts";
import type { ModelTrace } from "../../nn/model.ts";
import { slotGroup } from "../../tensor/group_names.ts";
import { elementCount, type Shape } from "../../tensor/shape.ts";
import type { ParameterRules } from "./parameter_rules.ts";

/**
 * Bytes of what is on the GPU from the first step to the last, by what takes them. What a step computes with comes on
 * top, and is known when the step is compiled.
 *
 * @param gradients How many copies of all gradients there are: more than one where a part of a batch has its own.
 */
export function stateNeeds(
  rules: Pick<ParameterRules, "of" | "slots" | "keeps">,
  { parameters, buffers }: Pick<ModelTrace, "parameters" | "buffers">,
  gradients: number,
): MemoryNeeds {
  const trained = parameters.filter(({ name }) => rules.of(name) !== undefined);
  const slots = rules.slots.map((slot) => {
    const kept = trained.filter(({ name }) => rules.of(name)?.slots.includes(slot) && rules.keeps(name));
    return [slotGroup(slot), sumOf(kept)] as const;
  });
  return {
    parameters: sumOf(parameters),
    buffers: sumOf(buffers),
    gradients: sumOf(trained) * gradients,
    ...Object.fromEntries(slots),
  };
}

/** What is thrown of a run whose state takes `needs`, where allocating it failed with `error`. */
export function lacking(needs: MemoryNeeds, error: unknown): unknown {
  if (!(error instanceof CairnError) || error.code !== "out_of_memory") return error;
  return new CairnError(
    "out_of_memory",
    `The run does not fit: it takes ${needsText(needs)}. ${error.message}`,
    {
      cause: error,
    },
  );
}

function sumOf(tensors: readonly { readonly dtype?: DType; readonly shape: Shape }[]): number {
  return tensors.reduce((sum, { dtype = "f32", shape }) => {
    return sum + alignUp(elementCount(shape) * byteSizeOf(dtype), TENSOR_ALIGNMENT);
  }, 0);
}
