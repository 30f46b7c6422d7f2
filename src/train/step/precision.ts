import { inSixteenBits } from "../../graph/precision/in_sixteen_bits.ts";
import type { Value } from "../../graph/value.ts";

/** In what activations and the factors of products are; everything else is f32. */
export type Precision = "f32" | "bf16" | "f16";

const PRECISIONS: readonly string[] = ["f32", "bf16", "f16"] satisfies Precision[];

/** @throws RangeError for a precision that there is not. */
export function checkPrecision(precision: unknown): void {
  if (precision === undefined || PRECISIONS.includes(String(precision))) return;
  throw new RangeError(`precision is "f32", "bf16" or "f16", found ${JSON.stringify(precision)}`);
}

/** Those values of a step that are computed. */
interface ComputedValues {
  readonly loss: Value;
  readonly kept: ReadonlyMap<string, Value>;
  readonly gradients: ReadonlyMap<string, Value>;
  readonly bufferUpdates: ReadonlyMap<string, Value>;
}

/** The values of a step of a model that gives `output`, with activations and factors of products in `precision`. */
export function withPrecision<Values extends ComputedValues>(
  values: Values,
  output: readonly Value[],
  precision: Precision,
): Values {
  if (precision === "f32") return values;
  const { loss, kept, gradients, bufferUpdates } = values;
  const forward = [loss, ...kept.values()];
  const roots = [...forward, ...gradients.values(), ...bufferUpdates.values()];
  const rounded = inSixteenBits({ roots, forward, output }, precision);
  const each = (all: ReadonlyMap<string, Value>): ReadonlyMap<string, Value> =>
    new Map([...all].map(([name, value]) => [name, rounded(value)]));
  return {
    ...values,
    loss: rounded(loss),
    kept: each(kept),
    gradients: each(gradients),
    bufferUpdates: each(bufferUpdates),
  };
}
