import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import type { Update, UpdateBinding } from "../../graph/program.ts";
import type { Value } from "../../graph/value.ts";
import { gatedCopy } from "../../kernels/optimizer/gated_copy.ts";
import { elementCount, formatShape, shapesEqual } from "../../tensor/shape.ts";
import { functionDescription } from "../function_description.ts";
import { requireValue } from "../layer.ts";
import { groupedOptimizer } from "./grouped_optimizer.ts";
import { requireDecays, requireSlots, slotOf } from "./hyperparameters.ts";
import type { Optimizer, UpdateBindings, UpdatedParameter } from "./optimizer.ts";
import { OPTIMIZER_OPTIONS, type OptimizerOptions } from "./optimizer_options.ts";
import { type UpdateTensors, updateTensors } from "./update_tensors.ts";

/** What the next update of one tensor is made of. */
export interface OpsUpdate<Slot extends string = string> extends UpdateTensors<Slot> {
  /** That of the tensor's group. Nothing happens by itself: the update does what it stands for. */
  readonly weightDecay: number;
}

/** The tensors after an update, each f32 of the tensor's shape. What is left out stays as it is. */
export interface OpsUpdated<Slot extends string = string> {
  readonly parameter: Value;
  readonly slots?: Readonly<Partial<Record<Slot, Value>>> | undefined;
}

/** Options of {@link fromOps}. The rate has no default; the decay is 0 unless given. */
export interface FromOpsOptions<Slot extends string = string> extends OptimizerOptions {
  /** Stands in messages and in checkpoints. */
  readonly name: string;
  /** Names of what is kept for each parameter. */
  readonly slots?: readonly Slot[] | undefined;
  /** Of running means, at most 4, for `corrections`. */
  readonly decays?: readonly number[] | undefined;
  /** The update of one tensor, in ops. It is traced once for each. */
  readonly update: (tensors: OpsUpdate<Slot>, parameter: UpdatedParameter) => OpsUpdated<Slot>;
}

/** Every option of {@link FromOpsOptions}. */
export const FROM_OPS_OPTIONS: OptionNames<FromOpsOptions> = {
  ...OPTIMIZER_OPTIONS,
  name: true,
  slots: true,
  decays: true,
  update: true,
};

/**
 * An optimiser of ops, tensor by tensor, in the submit of the step. A step that is not finite changes nothing: what
 * the ops compute goes into the tensors where the step counts.
 *
 * @example
 * ```ts
 * const momentum = optim.fromOps({
 *   name: "momentum",
 *   learningRate: 0.1,
 *   slots: ["velocity"],
 *   update: ({ parameter, gradient, learningRate, slots: { velocity } }) => {
 *     const next = ops.add(ops.mul(velocity, 0.9), gradient);
 *     return { parameter: ops.sub(parameter, ops.mul(learningRate, next)), slots: { velocity: next } };
 *   },
 * });
 * ```
 *
 * @throws TypeError or RangeError for invalid options; while compiling, for an update whose shapes do not fit.
 */
export function fromOps<const Slot extends string = never>(options: FromOpsOptions<Slot>): Optimizer {
  const { name, slots = [], decays = [], update } = checkOptions(
    "fromOps()",
    options,
    FROM_OPS_OPTIONS,
    '{ name: "mine", learningRate: 0.1, update }',
  );
  if (typeof update !== "function") {
    throw new TypeError(`${name}: update is a function, found ${typeof update}`);
  }
  requireSlots(name, slots);
  requireDecays(name, Object.fromEntries(decays.map((decay, index) => [`decays[${index}]`, decay])));
  return groupedOptimizer({
    name,
    options,
    defaults: { weightDecay: 0 },
    slots,
    over: "tensors",
    decays,
    described: { update: functionDescription(update), decays: [...decays], slots: slots.join(", ") },
    update: (bindings, { parameters: [parameter] }, { rate, weightDecay }) =>
      parameter === undefined
        ? []
        : opsUpdate(name, bindings, parameter, slots, rate, (tensors) =>
          update({ ...tensors, weightDecay }, parameter)),
  });
}

/** What an update in ops is, as the last things that a program does. */
export function opsUpdate<Slot extends string>(
  optimizer: string,
  bindings: UpdateBindings,
  { name, shape }: UpdatedParameter,
  slotNames: readonly Slot[],
  rate: number,
  update: (tensors: UpdateTensors<Slot>) => OpsUpdated<Slot>,
): readonly Update[] {
  const tensors = updateTensors(bindings, shape, slotNames, rate);
  const { parameter, slots = {} } = update(tensors);
  const results: [what: string, value: Value, into: BufferRange][] = [[
    "parameter",
    parameter,
    bindings.parameter,
  ]];
  const next = Object.entries<Value | undefined>(slots);
  for (const [slot, value] of next) {
    const index = slotNames.findIndex((each) => each === slot);
    if (index < 0) {
      throw new TypeError(`${optimizer}: the update of "${name}" gives the slot "${slot}", which it has not`);
    }
    if (value !== undefined) results.push([slot, value, slotOf(bindings.slots, index, slot)]);
  }
  const values: Record<string, Value> = {};
  const copies = results.map(([what, value, into]) => {
    requireValue(`${optimizer}: the update of "${name}", its ${what},`, value);
    if (value.dtype !== "f32" || !shapesEqual(value.shape, shape)) {
      throw new TypeError(
        `${optimizer}: the update of "${name}" gives ${what} as ${value.dtype} ${
          formatShape(value.shape)
        }, expected ` +
          `f32 ${formatShape(shape)}`,
      );
    }
    const output = `${what} of ${name}`;
    values[output] = value;
    return gatedCopy<UpdateBinding>({ from: { output }, into, verdict: bindings.verdict }, {
      count: elementCount(shape),
    });
  });
  return [{ values, parameters: tensors.locate }, ...copies];
}
