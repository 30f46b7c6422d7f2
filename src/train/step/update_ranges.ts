import { alignUp, TENSOR_ALIGNMENT } from "../../base/checked.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import type { Model } from "../../nn/model.ts";
import type { UpdateRule } from "../../nn/optim/optimizer.ts";
import type { StoredTensor, TensorGroup } from "../../tensor/tensor_group.ts";
import type { ParameterRules } from "./parameter_rules.ts";

/** Neighbours that one call of a rule updates: whole tensors with the padding behind each. */
export interface UpdateRange {
  readonly rule: UpdateRule;
  readonly parameter: BufferRange;
  readonly gradient: BufferRange;
  /** One for each slot of the rule. */
  readonly slots: readonly BufferRange[];
}

/**
 * What a step updates, as few ranges as there are gaps: the parameters that have a gradient, by their rules. The
 * others keep their bits, and so do their moments.
 */
export function updateRanges(
  model: Model,
  rules: ParameterRules,
  gradients: TensorGroup,
  slots: ReadonlyMap<string, TensorGroup>,
): UpdateRange[] {
  return rules.distinct.flatMap((rule) => {
    const places = gradients.tensors.flatMap((gradient): BufferRange[][] => {
      const name = nameOf(gradient);
      if (rules.of(name) !== rule || gradient.byteLength === 0) return [];
      const states = rule.slots.map((slot) => tensorOf(slots.get(slot), slot, name));
      return [[model.tensorOf(name), gradient, ...states].map(paddedRange)];
    });
    return joined(places).flatMap(([parameter, gradient, ...states]): UpdateRange[] => {
      return parameter === undefined || gradient === undefined
        ? []
        : [{ rule, parameter, gradient, slots: states }];
    });
  });
}

/** Joins what lies one behind the other in every buffer. */
function joined(places: readonly BufferRange[][]): BufferRange[][] {
  const all: BufferRange[][] = [];
  for (const place of places) {
    const last = all.at(-1);
    const isNext = last !== undefined && place.every(({ buffer, offset }, index) => {
      const before = last[index];
      return before?.buffer === buffer && before.offset + before.size === offset;
    });
    if (!isNext) all.push(place);
    else {all[all.length - 1] = last.map((range, index) => ({
        ...range,
        size: range.size + (place[index]?.size ?? 0),
      })
      );}
  }
  return all;
}

function paddedRange({ range, offset, byteLength }: StoredTensor): BufferRange {
  return { buffer: range.buffer, offset, size: alignUp(byteLength, TENSOR_ALIGNMENT) };
}

/** The name of a tensor in its group. */
export function nameOf({ name, group }: StoredTensor): string {
  return name.slice(group.length + 1);
}

function tensorOf(group: TensorGroup | undefined, slot: string, name: string): StoredTensor {
  const tensor = group?.tensors.find((each) => nameOf(each) === name);
  if (tensor !== undefined) return tensor;
  throw new RangeError(`The optimizer has no tensor "${name}" in its slot "${slot}"`);
}
