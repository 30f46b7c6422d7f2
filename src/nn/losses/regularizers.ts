import { describedAs } from "../../base/description.ts";
import { type NamePattern, NameSelection } from "../../base/name_pattern.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { add, mul, square } from "../../graph/ops/arithmetic.ts";
import { abs } from "../../graph/ops/piecewise.ts";
import { sum } from "../../graph/ops/sum.ts";
import type { Value } from "../../graph/value.ts";
import { formatShape } from "../../tensor/shape.ts";
import { requireValue } from "../layer.ts";
import type { Parameter } from "../scope.ts";

/**
 * What the parameters cost by themselves: one f32, shape `[]`, which the trainer adds to the loss of every step, once
 * for the whole batch. An evaluation leaves it out, as it says nothing of the data.
 *
 * @example
 * ```ts
 * // Keeps the first layer's weights near a length of 1.
 * const unitLength: nn.Regularizer = (parameters) => {
 *   const squares = parameters.filter(({ name }) => name === "0.weight")
 *     .map(({ value }) => ops.sum(ops.square(value)));
 *   return squares.reduce((cost, each) => ops.add(cost, ops.square(ops.sub(each, 1))), ops.constant(0));
 * };
 * ```
 */
export type Regularizer = (parameters: readonly Pick<Parameter, "name" | "shape" | "value">[]) => Value;

/** Which parameters a penalty is on. */
export interface PenaltyOptions {
  /** Names in the model, such as `"*.weight"`. Default: every parameter. */
  readonly only?: readonly NamePattern[] | undefined;
  /** Names that are not meant. */
  readonly exclude?: readonly NamePattern[] | undefined;
}

/** Every option of {@link PenaltyOptions}. */
export const PENALTY_OPTIONS: OptionNames<PenaltyOptions> = { only: true, exclude: true };

/** `factor * Σ |p|` over parameters. TypeError, when it is first used, for a pattern that no parameter has. */
export function l1Penalty(factor: number, options: PenaltyOptions = {}): Regularizer {
  return penalty("l1Penalty", abs, factor, options);
}

/**
 * `factor * Σ p²` over parameters, whose gradient is `2 * factor * p`. The weight decay of an optimiser is
 * `factor * p`, and that of AdamW is apart from the gradient. TypeError, when it is first used, for a pattern that no
 * parameter has.
 */
export function l2Penalty(factor: number, options: PenaltyOptions = {}): Regularizer {
  return penalty("l2Penalty", square, factor, options);
}

function penalty(
  name: string,
  costOf: (value: Value) => Value,
  factor: number,
  options: PenaltyOptions,
): Regularizer {
  const { only, exclude = [] } = checkOptions(
    `${name}()`,
    options,
    PENALTY_OPTIONS,
    '{ only: ["*.weight"] }',
  );
  if (!(Number.isFinite(factor) && factor >= 0)) {
    throw new RangeError(`${name}: the factor is a number from 0, found ${factor}`);
  }
  const regularizer: Regularizer = (parameters) => {
    const selection = new NameSelection(only, exclude);
    const chosen = parameters.filter((parameter) => selection.has(parameter.name));
    const [unmatched] = selection.unmatched();
    if (unmatched !== undefined || chosen.length === 0) {
      throw new TypeError(
        `${name}: ${unmatched ?? "what is left after exclude"} means no parameter; the model has ${
          parameters.map((parameter) => `"${parameter.name}"`).join(", ")
        }`,
      );
    }
    return mul(chosen.map(({ value }) => sum(costOf(value))).reduce((a, b) => add(a, b)), factor);
  };
  const patterns = (list: readonly NamePattern[]): string => list.map(String).join(" ");
  return describedAs(regularizer, {
    name,
    factor,
    only: only === undefined ? null : patterns(only),
    exclude: patterns(exclude),
  });
}

/** What the regulariser `name` gives for `parameters`; TypeError unless it is one f32. */
export function penaltyOf(
  name: string,
  regularizer: Regularizer,
  parameters: readonly Pick<Parameter, "name" | "shape" | "value">[],
): Value {
  const cost = requireValue(`The regularizer "${name}"`, regularizer(parameters));
  if (cost.dtype === "f32" && cost.shape.length === 0) return cost;
  throw new TypeError(
    `The regularizer "${name}" gives ${cost.dtype} of shape ${formatShape(cost.shape)}, expected one f32, ` +
      "shape []; take the sum",
  );
}
