import { alignUp, TENSOR_ALIGNMENT } from "../../base/checked.ts";
import { CairnError } from "../../base/errors.ts";
import { bindingParts, mostBindingBytes } from "../../gpu/binding_parts.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import type { Model } from "../../nn/model.ts";
import type { UpdatedParameter, UpdateRule } from "../../nn/optim/optimizer.ts";
import type { StoredTensor, TensorGroup } from "../../tensor/tensor_group.ts";
import type { ParameterRules } from "./parameter_rules.ts";

/**
 * Neighbours that one call of a rule updates: whole tensors with the padding behind each, or a part of a tensor that is
 * larger than a binding.
 */
export interface UpdateRange {
  readonly rule: UpdateRule;
  readonly parameters: readonly UpdatedParameter[];
  readonly parameter: BufferRange;
  readonly gradient: BufferRange;
  /** One for each slot of the rule. */
  readonly slots: readonly BufferRange[];
}

/**
 * What a step updates, as few ranges as there are gaps, or a tensor each where a rule wants that: the parameters that
 * have a gradient and are kept here, by their rules. The others keep their bits, and so do their moments.
 *
 * @param parameterOf Where a parameter is while it is updated. Default: where the model has it.
 */
export function updateRanges(
  model: Model,
  rules: ParameterRules,
  gradients: TensorGroup,
  slots: ReadonlyMap<string, TensorGroup>,
  parameterOf: (name: string) => StoredTensor = (name) => model.tensorOf(name),
): UpdateRange[] {
  return rules.distinct.flatMap((rule) => {
    const single = gradients.tensors.flatMap((gradient): UpdateRange[] => {
      const name = nameOf(gradient);
      if (rules.of(name) !== rule || !rules.keeps(name) || gradient.byteLength === 0) return [];
      return [{
        rule,
        parameters: [{ name, shape: gradient.shape }],
        parameter: paddedRange(parameterOf(name)),
        gradient: paddedRange(gradient),
        slots: rule.slots.map((slot) => paddedRange(tensorOf(slots.get(slot), slot, name))),
      }];
    });
    const most = mostBindingBytes(model.store.gpu);
    if (rule.over === "ranges") return joined(single).flatMap((range) => inParts(range, most));
    for (const range of single) requireBindable(range, most);
    return single;
  });
}

/** A range of a tensor that is larger than a binding, as several. */
function inParts(range: UpdateRange, most: number): UpdateRange[] {
  return bindingParts(range.parameter.size, most).map(({ offset, byteLength }) => {
    const part = (whole: BufferRange): BufferRange => {
      return { ...whole, offset: whole.offset + offset, size: byteLength };
    };
    return {
      ...range,
      parameter: part(range.parameter),
      gradient: part(range.gradient),
      slots: range.slots.map(part),
    };
  });
}

function requireBindable({ parameters, parameter: { size } }: UpdateRange, most: number): void {
  if (size <= most) return;
  const tensor = parameters.map(({ name }) => name).join(", ");
  throw new CairnError(
    "limit_exceeded",
    `The optimizer updates the parameter "${tensor}" as a whole, which has ${size} bytes, and the adapter binds ` +
      `at most ${most} (maxStorageBufferBindingSize); give it one that updates ranges, such as adamw or sgd, or ` +
      "split the parameter",
    { details: { tensor, limit: most, value: size } },
  );
}

/** Joins what lies one behind the other in every buffer. */
function joined(ranges: readonly UpdateRange[]): UpdateRange[] {
  const all: UpdateRange[] = [];
  for (const next of ranges) {
    const last = all.at(-1);
    if (last === undefined || !isNeighbour(last, next)) {
      all.push(next);
      continue;
    }
    const longer = (range: BufferRange): BufferRange => ({
      ...range,
      size: range.size + next.parameter.size,
    });
    all[all.length - 1] = {
      ...last,
      parameters: [...last.parameters, ...next.parameters],
      parameter: longer(last.parameter),
      gradient: longer(last.gradient),
      slots: last.slots.map(longer),
    };
  }
  return all;
}

function isNeighbour(last: UpdateRange, next: UpdateRange): boolean {
  const pairs = [[last.parameter, next.parameter], [last.gradient, next.gradient]] as const;
  const slots = last.slots.map((slot, index) => [slot, next.slots[index]] as const);
  return [...pairs, ...slots].every(([before, after]) =>
    before.buffer === after?.buffer && before.offset + before.size === after.offset
  );
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
