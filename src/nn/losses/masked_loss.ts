import { createValue } from "../../graph/create_value.ts";
import { item, type OpDefinition } from "../../graph/op.ts";
import { equal, where } from "../../graph/ops/comparison.ts";
import { reshape } from "../../graph/ops/views.ts";
import { add } from "../../graph/ops/arithmetic.ts";
import type { Value } from "../../graph/value.ts";
import { mapValues, type Values } from "../../graph/values.ts";
import type { CountedLosses } from "./loss.ts";

/** Attributes of {@link gateOp}. */
type GateAttributes = {
  /** Known once the loss was called; the gradient is built later. */
  readonly weight: () => Value | undefined;
};

/**
 * The terms that `termsOf` makes of `output`, such that no gradient flows into the examples whose weights are all 0.
 * Multiplying by 0 is not enough: between the output and the loss, 0 meets what is infinite or NaN there.
 */
export function maskedTerms<Out extends Values>(
  output: Out,
  termsOf: (output: Out) => readonly CountedLosses[],
): readonly CountedLosses[] {
  const known: { terms: readonly CountedLosses[] } = { terms: [] };
  const weight = (): Value | undefined => weightOfAll(known.terms);
  known.terms = termsOf(
    mapValues(output, (each) => createValue(gateOp, [each], { weight }, each.dtype, each.shape)),
  );
  return known.terms;
}

/** 0 where every term has the weight 0. `undefined` where no example is out, or the losses see to it themselves. */
function weightOfAll(terms: readonly CountedLosses[]): Value | undefined {
  if (terms.every(({ isMasked }) => isMasked)) return undefined;
  const weights = terms.flatMap(({ weight }) => weight ?? []);
  return weights.length < terms.length ? undefined : weights.reduce((sum, weight) => add(sum, weight));
}

/** A value as it is, whose gradient is 0 in the examples of weight 0. */
const gateOp: OpDefinition<GateAttributes> = {
  name: "lossGate",
  lowering: { kind: "view" },
  gradient(value, outGrad) {
    const weight = value.attributes.weight();
    if (weight === undefined) return [outGrad];
    const perExample = reshape(weight, [item(value.shape, 0), ...value.shape.slice(1).map(() => 1)]);
    return [where(equal(perExample, 0), 0, outGrad)];
  },
};
