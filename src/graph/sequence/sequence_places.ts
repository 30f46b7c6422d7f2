import { definitionOf } from "../create_value.ts";
import { item, type Read } from "../op.ts";
import { reachable, type Value } from "../value.ts";
import { isConstantAlong } from "./constant_along.ts";
import { kernelPlace } from "./kernel_places.ts";
import { placeAt, type SequencePlace, type SequenceQuestion, strideOf } from "./place.ts";

/**
 * What a value has of a sequence. `none`: it is the same for all sequences. `each`: the elements at a place depend on
 * that position, and on those before as far as is permitted. `last`: it is about the last position only. `mixed`: it
 * may depend on positions that it should not, because of the op of `by`.
 */
export type SequenceFound =
  | { readonly kind: "none" | "last" }
  | { readonly kind: "each"; readonly place: SequencePlace }
  | { readonly kind: "mixed"; readonly by: Value };

/**
 * What `root` has of a sequence: whether the results at a position are those that they would be if other positions
 * followed, or, where not the whole sequence is given, if those before were given too. Ops of which nothing is known
 * mix positions.
 */
export function sequenceOf(root: Value, question: SequenceQuestion): SequenceFound {
  const found = new Map<Value, SequenceFound>();
  for (const value of reachable([root])) found.set(value, findOne(value, found, question));
  return found.get(root) ?? { kind: "none" };
}

function findOne(
  value: Value,
  found: ReadonlyMap<Value, SequenceFound>,
  question: SequenceQuestion,
): SequenceFound {
  const axis = question.inputs.get(value);
  if (axis !== undefined) return { kind: "each", place: { axis, within: 1 } };
  const { lowering } = definitionOf(value);
  // Of a view only the first input is looked at: others say what it is a function of.
  const inputs = lowering.kind === "view" ? value.inputs.slice(0, 1) : value.inputs;
  const all = inputs.map((input) => found.get(input) ?? { kind: "none" as const });
  const mixed = all.find(({ kind }) => kind === "mixed");
  if (mixed !== undefined) return mixed;
  const isAnyLast = all.some(({ kind }) => kind === "last");
  const places = all.map((each) => each.kind === "each" ? each.place : undefined);
  if (places.every((place) => place === undefined)) return { kind: isAnyLast ? "last" : "none" };
  if (isAnyLast) return { kind: "mixed", by: value };
  switch (lowering.kind) {
    case "view":
      return eachAt(value, viewPlace(value, item(places, 0), question.count));
    case "elementwise":
      return eachAt(value, elementwisePlace(value, places, question));
    case "read":
      return readPlace(value, lowering.read(value), item(places, 0), question.count);
    case "kernel":
      return eachAt(value, kernelPlace(value, places, question));
    default:
      return { kind: "mixed", by: value };
  }
}

function eachAt(value: Value, place: SequencePlace | undefined): SequenceFound {
  return place === undefined ? { kind: "mixed", by: value } : { kind: "each", place };
}

function viewPlace(
  value: Value,
  place: SequencePlace | undefined,
  count: number,
): SequencePlace | undefined {
  if (place === undefined) return undefined;
  return placeAt(value.shape, strideOf(item(value.inputs, 0).shape, place), count);
}

/** Inputs that broadcast: those with positions have them at the same place of the result. */
function elementwisePlace(
  value: Value,
  places: readonly (SequencePlace | undefined)[],
  { isWhole }: SequenceQuestion,
): SequencePlace | undefined {
  const rank = value.shape.length;
  let common: SequencePlace | undefined;
  for (const [index, place] of places.entries()) {
    if (place === undefined) continue;
    const input = item(value.inputs, index);
    const axis = place.axis + rank - input.shape.length;
    if (value.shape[axis] !== input.shape[place.axis]) return undefined;
    common ??= { axis, within: place.within };
    if (common.axis !== axis || common.within !== place.within) return undefined;
  }
  if (common === undefined || isWhole) return common;
  const { axis } = common;
  const isSame = value.inputs.every((input, index) =>
    places[index] !== undefined || isConstantAlong(input, axis - rank + input.shape.length)
  );
  return isSame ? common : undefined;
}

function readPlace(
  value: Value,
  { starts, axes, bounds = [] }: Read,
  place: SequencePlace | undefined,
  count: number,
): SequenceFound {
  const mixed = { kind: "mixed", by: value } as const;
  if (place === undefined) return mixed;
  const { axis, within } = place;
  const size = item(item(value.inputs, 0).shape, axis);
  const start = starts[axis] ?? 0;
  const along = axes.flatMap((walked, at) => walked?.of === axis ? [at] : []);
  const [own, ...others] = along;
  const taken = own === undefined ? 1 : item(value.shape, own);
  const isPlain = own === undefined || axes[own]?.step === 1 && bounds.every((bound) => bound.axis !== own);
  if (others.length > 0 || !isPlain) return mixed;
  if (own !== undefined && start === 0 && taken === size) {
    return { kind: "each", place: { axis: own, within } };
  }
  const isOfLast = size === count * within && start >= (count - 1) * within && start + taken <= size;
  return isOfLast ? { kind: "last" } : mixed;
}
