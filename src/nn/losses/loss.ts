import { stopGradient } from "../../graph/ops/views.ts";
import { withoutUnweighted } from "../../graph/ops/weighted.ts";
import type { Value } from "../../graph/value.ts";
import type { Values } from "../../graph/values.ts";
import { formatShape } from "../../tensor/shape.ts";
import { requireValue } from "../layer.ts";

/**
 * From the model's output and the labels of a batch to what each example costs: one f32 an example, shape `[batch]`,
 * which weighs 1; or {@link ExampleLosses}, a value and a weight each; or {@link LossTerms}, several of them with
 * names. The trainer divides the sum of the values by the sum of the weights, over the whole batch in training and
 * over the whole set in an evaluation.
 *
 * `weights`, f32 of shape `[batch]`, are for calling a loss within another: they multiply value and weight of each
 * example. An example of weight 0 gives no gradient, whatever its output and labels are, NaN and infinity too.
 *
 * Of a model with several outputs, or data with several labels, they are records of values by name; `nn.lossByOutput`
 * makes such a loss of one for each output.
 *
 * @example
 * ```ts
 * // The mean of the squares over those numbers that have a label; NaN stands for none.
 * const loss: nn.Loss = (output, labels) => {
 *   const isKnown = ops.logicalNot(ops.isNaNValue(labels));
 *   const errors = ops.where(isKnown, ops.sub(output, labels), 0);
 *   return {
 *     value: ops.sum(ops.square(errors), { axes: 1 }),
 *     weight: ops.sum(ops.cast(isKnown, "f32"), { axes: 1 }),
 *   };
 * };
 * ```
 */
export type Loss<Out extends Values = Value, Labels extends Values = Value> = (
  output: Out,
  labels: Labels,
  weights?: Value,
) => Value | ExampleLosses | LossTerms;

/** A loss that says value and weight, as those of `nn` do. */
export type ExampleLoss = (output: Value, labels: Value, weights?: Value) => ExampleLosses;

/** What the examples of a batch cost. */
export interface ExampleLosses {
  /** f32 `[batch]`: the sum over whatever of the example counts. */
  readonly value: Value;
  /** f32 `[batch]`, from 0: for how much that counts. 1 each when left out. No gradient flows into it. */
  readonly weight?: Value | undefined;
  /** What the labels may be. The trainer refuses others before they are uploaded. */
  readonly labels?: LabelRange | undefined;
  /**
   * Whether no gradient leaves the loss where the weight is 0, also where the output or the labels are NaN. Unless it
   * says so the trainer sees to it, which takes one more pass over the output's gradient.
   */
  readonly isMasked?: boolean | undefined;
}

/**
 * A loss that is a sum of others: each is divided by its own weights, and each is in the history and the progress by
 * its name.
 */
export interface LossTerms {
  /** Each term by its name. */
  readonly terms: Readonly<Record<string, Value | ExampleLosses>>;
  /** What a term is multiplied by in the sum; 1 unless given. Its own number in the history is without it. */
  readonly factors?: Readonly<Record<string, number>> | undefined;
}

/** What the elements of the labels may be. A NaN is left to the loss. */
export interface LabelRange {
  /** The loss that asks for it, for messages. */
  readonly loss: string;
  /** The lowest value that a label may have. */
  readonly least: number;
  /** The highest. */
  readonly most: number;
  /** What stands for no label, wherever it is. */
  readonly ignored?: number | undefined;
  /** Which labels, `labels.digit` of several. Where it is left out those are meant that have no name. */
  readonly part?: string | undefined;
}

/** One term of a loss with nothing left to be guessed. */
export interface CountedLosses {
  /** `undefined` for a loss that is not several terms. */
  readonly name: string | undefined;
  readonly factor: number;
  /** f32 `[batch]`, 0 where the weight is 0. */
  readonly value: Value;
  /** f32 `[batch]`; `undefined` where each example weighs 1. */
  readonly weight: Value | undefined;
  readonly labels: LabelRange | undefined;
  readonly isMasked: boolean;
}

/** The terms of what a loss gave for `batchSize` examples. TypeError for anything but a loss of a batch. */
export function countedLosses(
  given: ReturnType<Loss>,
  batchSize: number,
  what: string = "The loss",
): CountedLosses[] {
  if (!isTerms(given)) return [{ name: undefined, factor: 1, ...counted(what, given, batchSize) }];
  const { terms, factors = {} } = given;
  const stranger = Object.keys(factors).find((name) => !Object.hasOwn(terms, name));
  if (stranger !== undefined) {
    throw new TypeError(
      `The loss has a factor for "${stranger}" and no such term; it has ${
        Object.keys(terms).map((name) => `"${name}"`).join(", ")
      }`,
    );
  }
  if (Object.keys(terms).length === 0) {
    throw new TypeError("The loss has no term, so that nothing would be trained");
  }
  return Object.entries(terms).map(([name, losses]) => {
    const { [name]: factor = 1 } = factors;
    if (!Number.isFinite(factor)) {
      throw new RangeError(`The factor of "${name}" is a number, found ${factor}`);
    }
    const term = counted(`The term "${requireTermName(name)}" of the loss`, losses, batchSize);
    return { name, factor, ...term };
  });
}

/** `name`, or a `TypeError` for one that stands for something else in the history. */
export function requireTermName(name: string): string {
  if (name !== "loss" && /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return name;
  throw new TypeError(
    `A term of a loss cannot be called ${JSON.stringify(name)}: its name is of letters, digits and _, ` +
      'and "loss" is the sum of all',
  );
}

/** The one term of the loss `name`, that `of` adds up; TypeError where it has several itself. */
export function onlyTerm(
  of: string,
  name: string,
  [term, ...others]: readonly CountedLosses[],
): CountedLosses {
  if (term !== undefined && others.length === 0) return term;
  throw new TypeError(`${of}: "${name}" has several terms itself; list those beside the others`);
}

function counted(
  what: string,
  given: Value | ExampleLosses,
  batchSize: number,
): Omit<CountedLosses, "name" | "factor"> {
  const { value, weight, labels, isMasked = false } = isExampleLosses(given) ? given : { value: given };
  requirePerExample(what, value, batchSize);
  if (weight === undefined) return { value, weight, labels, isMasked };
  requirePerExample(`${what}, for its weights,`, weight, batchSize);
  // A weight that is learned would be learned to be large where the loss is small.
  const fixed = stopGradient(weight);
  return { value: withoutUnweighted(value, fixed), weight: fixed, labels, isMasked };
}

function isTerms(given: unknown): given is LossTerms {
  return isRecord(given) && "terms" in given;
}

function isExampleLosses(given: unknown): given is ExampleLosses {
  return isRecord(given) && "value" in given;
}

function isRecord(given: unknown): given is object {
  return typeof given === "object" && given !== null && !("op" in given);
}

/** `value`, or a `TypeError` unless it is one f32 for each of `batchSize` examples. */
export function requirePerExample(what: string, value: Value, batchSize: number): Value {
  requireValue(what, value);
  if (value.dtype === "f32" && value.shape.length === 1 && value.shape[0] === batchSize) return value;
  throw new TypeError(
    `${what} gives ${value.dtype} of shape ${formatShape(value.shape)}, expected one f32 for each example ` +
      `of the batch, shape [${batchSize}]; leave the mean over the batch to the trainer`,
  );
}

/** `weights` of `loss`, one f32 for each of `batch` examples; TypeError otherwise. */
export function requireWeights(loss: string, weights: Value, batch: number | undefined): Value {
  if (weights.dtype === "f32" && weights.shape.length === 1 && weights.shape[0] === batch) return weights;
  throw new TypeError(
    `${loss}: takes weights of shape [${batch}] and dtype f32, one an example, ` +
      `found ${weights.dtype} of shape ${formatShape(weights.shape)}`,
  );
}
