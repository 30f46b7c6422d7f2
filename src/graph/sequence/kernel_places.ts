import { item } from "../op.ts";
import type { AttentionAttributes } from "../ops/attention/attention.ts";
import type { BatchedMatmulAttributes } from "../ops/batched_matmul.ts";
import type { IndexAttributes } from "../ops/indexing/take_and_scatter.ts";
import type { MatmulAttributes } from "../ops/matmul.ts";
import type { RowNormAttributes } from "../ops/norm/row_norm_ops.ts";
import type { ReductionAttributes } from "../ops/reduction_axes.ts";
import type { CumsumAttributes } from "../ops/reductions/cumsum.ts";
import type { ArgmaxAttributes } from "../ops/argmax.ts";
import type { Value } from "../value.ts";
import { isConstantAlong } from "./constant_along.ts";
import { placeAt, type SequencePlace, type SequenceQuestion, strideOf } from "./place.ts";

type Places = readonly (SequencePlace | undefined)[];
type Rule = (value: Value, places: Places, question: SequenceQuestion) => SequencePlace | undefined;

/**
 * Where the result of a kernel has the positions that its inputs have at `places`; `undefined` where it mixes them. Ops
 * go by their names, so that a script bundles only those that it uses.
 */
export function kernelPlace(
  value: Value,
  places: Places,
  question: SequenceQuestion,
): SequencePlace | undefined {
  return Object.hasOwn(RULES, value.op) ? RULES[value.op]?.(value, places, question) : undefined;
}

/** Ops of one input that work along the axis of their attributes. */
const alongAxis: Rule = ({ attributes }, [place]) =>
  place !== undefined && attributes["axis"] !== place.axis ? place : undefined;

const norm: Rule = (value, [place, ...others], { count }) => {
  if (place === undefined || others.some((other) => other !== undefined)) return undefined;
  const { channels, groups, inner } = value.attributes as RowNormAttributes;
  // Rows that are normalised together do not reach over a position.
  const stride = strideOf(value.shape, place);
  return stride % (channels / groups * inner) === 0 ? placeAt(value.shape, stride, count) : undefined;
};

const reduction: Rule = (value, [place], { count }) => {
  if (place === undefined) return undefined;
  const attributes = value.attributes as ReductionAttributes | ArgmaxAttributes;
  const spans = "spans" in attributes ? attributes.spans : [attributes];
  let stride = strideOf(item(value.inputs, 0).shape, place);
  for (const { reduced, inner } of spans) {
    if (stride * count <= inner) continue;
    if (stride % (reduced * inner) !== 0) return undefined;
    stride /= reduced;
  }
  return placeAt(value.shape, stride, count);
};

const matmul: Rule = ({ attributes }, [a, b]) => {
  const { transposeA, transposeB } = attributes as MatmulAttributes;
  if (a !== undefined && b !== undefined) return undefined;
  if (a !== undefined) return a.axis === (transposeA ? 1 : 0) ? { axis: 0, within: a.within } : undefined;
  return b !== undefined && b.axis === (transposeB ? 0 : 1) ? { axis: 1, within: b.within } : undefined;
};

const batchedMatmul: Rule = (value, [a, b], { isWhole }) => {
  const { permutationA, permutationB } = value.attributes as BatchedMatmulAttributes;
  const rank = value.shape.length;
  const placeOf = (place: SequencePlace | undefined, permutation: readonly number[]) =>
    place === undefined ? undefined : { axis: permutation.indexOf(place.axis), within: place.within };
  const [left, right] = [placeOf(a, permutationA), placeOf(b, permutationB)];
  // The last axis of A and the last but one of B are added up over.
  if (left?.axis === rank - 1 || right?.axis === rank - 2) return undefined;
  const own = left ?? right;
  if (own === undefined) return undefined;
  if (left !== undefined && right !== undefined) {
    return left.axis === right.axis && left.within === right.within && left.axis < rank - 2
      ? left
      : undefined;
  }
  if (isWhole || own.axis >= rank - 2) return own;
  const [other, permutation] = left === undefined ? [0, permutationA] : [1, permutationB];
  return isConstantAlong(item(value.inputs, other), item(permutation, own.axis)) ? own : undefined;
};

const take: Rule = ({ inputs, attributes }, [ofValue, ofIndices], { isWhole }) => {
  const { axis, isShared } = attributes as IndexAttributes;
  const [value, indices] = [item(inputs, 0), item(inputs, 1)];
  if (!isShared) {
    const own = ofValue ?? ofIndices;
    if (own === undefined || own.axis === axis) return undefined;
    if (ofValue !== undefined && ofIndices !== undefined) {
      return ofValue.axis === ofIndices.axis && ofValue.within === ofIndices.within ? own : undefined;
    }
    return isWhole || isConstantAlong(ofValue === undefined ? value : indices, own.axis) ? own : undefined;
  }
  if (ofValue === undefined) return ofIndices && { axis: axis + ofIndices.axis, within: ofIndices.within };
  if (ofIndices !== undefined || ofValue.axis === axis) return undefined;
  return ofValue.axis < axis
    ? ofValue
    : { axis: ofValue.axis + indices.shape.length - 1, within: ofValue.within };
};

const attention: Rule = ({ attributes }, [queries, keys, values, mask], { isWhole }) => {
  const { manner, sizes } = attributes as AttentionAttributes;
  if (queries === undefined || mask !== undefined || manner.mask !== "none") return undefined;
  if (keys === undefined && values === undefined) return manner.isCausal ? undefined : queries;
  if (!isSame(queries, keys) || !isSame(queries, values)) return undefined;
  // Positions that are examples to it do not meet.
  if (queries.axis < 2) return queries.axis === 0 || sizes.heads === sizes.keyHeads ? queries : undefined;
  return isWhole && manner.isCausal && queries.axis === 2 && queries.within === 1 ? queries : undefined;
};

const cachedAttention: Rule = (_value, [queries, keys, values, , , positions]) => {
  const first = { axis: 0, within: 1 };
  const isSequence = isSame(queries, { axis: 2, within: 1 }) &&
    [keys, values, positions].every((place) => isSame(place, first));
  return isSequence ? queries : undefined;
};

const recurrent: Rule = (value, [x, ...others], { isWhole, continued }) => {
  const isSequence = isSame(x, { axis: 1, within: 1 }) && others.every((other) => other === undefined);
  return isSequence && (isWhole || continued?.has(value)) ? x : undefined;
};

const cumsum: Rule = (value, places, question) => {
  const { axis, isReverse } = value.attributes as CumsumAttributes;
  const isBack = question.isWhole && !isReverse && isSame(places[0], { axis, within: 1 });
  return isBack ? places[0] : alongAxis(value, places, question);
};

const RULES: Readonly<Record<string, Rule>> = {
  argmax: reduction,
  argmin: reduction,
  argsort: alongAxis,
  attention,
  batchedMatmul,
  cachedAttention,
  cumsum,
  groupNorm: norm,
  layerNorm: norm,
  logSoftmax: alongAxis,
  matmul,
  max: reduction,
  mean: reduction,
  min: reduction,
  prod: reduction,
  recurrent,
  rmsNorm: norm,
  softmax: alongAxis,
  sum: reduction,
  take,
};

function isSame(a: SequencePlace | undefined, b: SequencePlace | undefined): boolean {
  return a !== undefined && a.axis === b?.axis && a.within === b.within;
}
