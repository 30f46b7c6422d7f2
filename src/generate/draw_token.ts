import { argmax } from "../graph/ops/argmax.ts";
import { div, mul, sub } from "../graph/ops/arithmetic.ts";
import { greater, isFinite, less, logicalAnd, where } from "../graph/ops/comparison.ts";
import { takeAlongAxis } from "../graph/ops/indexing/take.ts";
import { slice } from "../graph/ops/movement/slice.ts";
import { max } from "../graph/ops/reduce.ts";
import { cumsum } from "../graph/ops/reductions/cumsum.ts";
import { argsort } from "../graph/ops/reductions/sort.ts";
import { constant, input } from "../graph/ops/sources.ts";
import { exp } from "../graph/ops/transcendental.ts";
import type { Value } from "../graph/value.ts";
import { HostTensor } from "../tensor/host_tensor.ts";

/** What stands for a token where the scores are not finite, or none is possible. */
export const NO_TOKEN = 0xffff_ffff;

/**
 * How tokens are drawn. `greedy`: the one with the highest score. `all`: any, with the probability that its score says.
 * `some`: one of the likeliest, as top-k and top-p say.
 */
export type DrawKind = "greedy" | "all" | "some";

/** By which numbers tokens are drawn; see `GenerateOptions`. */
export interface DrawNumbers {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
}

/** The kind that draws by `numbers`. */
export function drawKindOf({ temperature, topK, topP }: DrawNumbers): DrawKind {
  if (temperature === 0) return "greedy";
  return topK === Infinity && topP === 1 ? "all" : "some";
}

/** A draw as graph values, with the inputs of its program. */
export interface Draw {
  /** u32 `[rows, 1]`; {@link NO_TOKEN} where there is none. */
  readonly token: Value;
  readonly inputs: readonly Value[];
}

/** Of the total a share never is more, so that rounding does not reach beyond the last token. */
const MOST_SHARE = 1 - 2 ** -20;

/**
 * The token that each row's share falls on, where every token has the probability that its score says. On the GPU, so
 * that the next position need not wait for the host.
 *
 * @param scores f32 `[rows, tokens]`. -Infinity says that a token is impossible.
 */
export function drawToken(scores: Value, kind: DrawKind): Draw {
  const [rows = 0] = scores.shape;
  if (kind === "greedy") {
    const best = argmax(scores, { keepDims: true });
    const isPossible = isFinite(takeAlongAxis(scores, best, { axis: 1 }));
    return { token: orNone(isPossible, best), inputs: [] };
  }
  const temperature = input("temperature", "f32", [1]);
  const share = input("share", "f32", [rows, 1]);
  // NaN anywhere, and infinity, make the total NaN.
  const weights = exp(div(sub(scores, max(scores, { axes: 1, keepDims: true })), temperature));
  if (kind === "all") {
    const { place, isPossible } = placeAt(weights, share);
    return { token: orNone(isPossible, place), inputs: [temperature, share] };
  }
  const topK = input("topK", "u32", [1]);
  const topP = input("topP", "f32", [1]);
  const order = argsort(scores, { axis: 1, descending: true });
  const ranked = takeAlongAxis(weights, order, { axis: 1 });
  const { place, isPossible } = placeAt(likeliest(ranked, topK, topP), share);
  const token = takeAlongAxis(order, place, { axis: 1 });
  return { token: orNone(isPossible, token), inputs: [temperature, share, topK, topP] };
}

/** The inputs of a draw for a run of its program. */
export function drawInputs(
  kind: DrawKind,
  { temperature, topK, topP }: DrawNumbers,
  shares: readonly number[],
): Readonly<Record<string, ArrayBufferView>> {
  if (kind === "greedy") return {};
  const share = Float32Array.from(shares, (each) => Math.min(each, MOST_SHARE));
  const numbers = { temperature: Float32Array.of(temperature), share };
  if (kind === "all") return numbers;
  return { ...numbers, topK: Uint32Array.of(Math.min(topK, NO_TOKEN)), topP: Float32Array.of(topP) };
}

/** Those of `weights`, the largest first, that are drawn from; 0 for the others. */
function likeliest(weights: Value, topK: Value, topP: Value): Value {
  const ranks = constant(
    HostTensor.from(Uint32Array.from({ length: weights.shape[1] ?? 0 }, (_, rank) => rank)),
  );
  const first = where(less(ranks, topK), weights, 0);
  const sums = cumsum(first, { axis: 1 });
  // One is among them as long as those before it have not the share together.
  return where(less(sub(sums, first), mul(topP, slice(sums, { axis: 1, start: -1 }))), first, 0);
}

/** The place that a share of the total falls on, u32 `[rows, 1]`: one that weighs something. */
function placeAt(weights: Value, share: Value): { place: Value; isPossible: Value } {
  const sums = cumsum(weights, { axis: 1 });
  const total = slice(sums, { axis: 1, start: -1 });
  const isBeyond = logicalAnd(greater(sums, mul(share, total)), greater(weights, 0));
  return { place: argmax(isBeyond, { keepDims: true }), isPossible: greater(total, 0) };
}

function orNone(isPossible: Value, token: Value): Value {
  return where(isPossible, token, constant(NO_TOKEN, "u32"));
}
