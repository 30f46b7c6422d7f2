import type { BufferRange } from "../../gpu/buffer_range.ts";
import { mul, neg } from "../../graph/ops/arithmetic.ts";
import { cast } from "../../graph/ops/cast.ts";
import { greater, where } from "../../graph/ops/comparison.ts";
import { slice } from "../../graph/ops/movement/slice.ts";
import { maximum, minimum } from "../../graph/ops/piecewise.ts";
import { parameter, stepScalar } from "../../graph/ops/sources.ts";
import { reshape } from "../../graph/ops/views.ts";
import type { Value } from "../../graph/value.ts";
import { STEP_VERDICT_WORDS, VERDICT_WORD } from "../../kernels/optimizer/step_verdict.ts";
import type { Shape } from "../../tensor/shape.ts";
import { slotOf } from "./hyperparameters.ts";
import type { UpdateBindings } from "./optimizer.ts";

/** What an update of one tensor is computed from, as values. */
export interface UpdateTensors<Slot extends string = string> {
  /** f32, of the tensor's shape. */
  readonly parameter: Value;
  /** Its gradient, clipped as the run says. */
  readonly gradient: Value;
  /** What the optimiser keeps, by name, of the same shape; zeros before the first update. */
  readonly slots: Readonly<Record<Slot, Value>>;
  /** f32 `[]`. */
  readonly learningRate: Value;
  /** How many updates there were, this one included: f32 `[]`, 1 in the first. */
  readonly updates: Value;
  /** For each of the optimiser's decays `1 - decay^updates`: f32 `[]`; 1 where there is no such decay. */
  readonly corrections: readonly [Value, Value, Value, Value];
}

/** The tensors of an update with where they are. */
export interface LocatedTensors<Slot extends string> extends UpdateTensors<Slot> {
  /** Where the parameter `name` of a program of these values is. */
  readonly locate: (name: string) => BufferRange;
}

/**
 * The tensors that `bindings` name, as values of `shape`.
 *
 * @param slotNames Of the slots, in the order of their bindings.
 * @param rate Which of the step's scalars is the learning rate.
 */
export function updateTensors<Slot extends string>(
  bindings: UpdateBindings,
  shape: Shape,
  slotNames: readonly Slot[],
  rate: number,
): LocatedTensors<Slot> {
  const ranges = new Map<string, BufferRange>();
  const tensor = (name: string, range: BufferRange, dtype: "f32" | "u32", of: Shape): Value => {
    ranges.set(name, range);
    return parameter(name, dtype, of);
  };
  const words = tensor("verdict words", bindings.verdict, "u32", [STEP_VERDICT_WORDS]);
  const numbers = tensor("verdict", bindings.verdict, "f32", [STEP_VERDICT_WORDS]);
  const numberOf = (of: Value, word: number): Value => reshape(slice(of, { start: word, end: word + 1 }), []);
  const correction = (index: number): Value => numberOf(numbers, VERDICT_WORD.corrections + index);
  const slots = slotNames.map((name, index) =>
    [name, tensor(`slot ${name}`, slotOf(bindings.slots, index, name), "f32", shape)] as const
  );
  return {
    parameter: tensor("parameter", bindings.parameter, "f32", shape),
    gradient: clipped(
      tensor("gradient", bindings.gradient, "f32", shape),
      numberOf(numbers, VERDICT_WORD.gradientScale),
      numberOf(numbers, VERDICT_WORD.gradientLimit),
    ),
    slots: Object.fromEntries(slots) as Record<Slot, Value>,
    learningRate: stepScalar(rate),
    updates: cast(numberOf(words, VERDICT_WORD.updates), "f32"),
    corrections: [correction(0), correction(1), correction(2), correction(3)],
    locate: (name) => {
      const range = ranges.get(name);
      if (range !== undefined) return range;
      throw new TypeError(
        `An update knows no parameter "${name}"; it is computed from ${[...ranges.keys()].join(", ")}`,
      );
    },
  };
}

/** As the kernels of optimisers have it. */
function clipped(gradient: Value, scale: Value, limit: Value): Value {
  const scaled = mul(gradient, scale);
  return where(greater(limit, 0), minimum(maximum(scaled, neg(limit)), limit), scaled);
}
