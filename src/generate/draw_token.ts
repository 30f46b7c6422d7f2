import { CairnError } from "../base/errors.ts";

/** From which tokens one is drawn, and how. */
export interface DrawManner {
  /** 0: the token with the highest score. */
  readonly temperature: number;
  /** How many tokens with the highest scores there are to draw from; `Infinity` for all. */
  readonly topK: number;
  /** The share of the probability that the likeliest of them have together. */
  readonly topP: number;
}

/**
 * The token that `share`, from 0 to below 1, falls on, where each has the probability that its score says.
 *
 * @throws CairnError `non_finite` for a score that is NaN or infinite, or where no token is possible. A score of
 * -Infinity says that a token is not.
 */
export function drawToken(
  scores: Float32Array,
  { temperature, topK, topP }: DrawManner,
  share: number,
): number {
  const best = highest(scores);
  if (temperature === 0) return best;
  const most = scores[best] ?? NaN;
  let tokens = keepHighest(scores, Array.from(scores.keys()), topK);
  const weightOf = (token: number): number => Math.exp(((scores[token] ?? NaN) - most) / temperature);
  const sum = (all: readonly number[]): number => all.reduce((total, token) => total + weightOf(token), 0);
  if (topP < 1) tokens = keepHighest(scores, tokens, likeliest(scores, tokens, weightOf, topP * sum(tokens)));
  let left = share * sum(tokens);
  for (const token of tokens) {
    left -= weightOf(token);
    if (left < 0) return token;
  }
  // The share was so near to 1 that it was lost in rounding.
  return tokens.findLast((token) => weightOf(token) > 0) ?? best;
}

/** The first token with the highest score. */
function highest(scores: Float32Array): number {
  let best = 0;
  let most = -Infinity;
  for (let token = 0; token < scores.length; token++) {
    const score = scores[token] ?? NaN;
    if (Number.isNaN(score) || score === Infinity) {
      throw notFinite(`the score of token ${token} is ${score}`);
    }
    if (score > most) [best, most] = [token, score];
  }
  if (most === -Infinity) throw notFinite("the score of every token is -Infinity");
  return best;
}

/** Those of `tokens` with the `count` highest scores, in their order; of equal scores the first. */
function keepHighest(scores: Float32Array, tokens: number[], count: number): number[] {
  if (count >= tokens.length) return tokens;
  const ascending = Float32Array.from(tokens, (token) => scores[token] ?? NaN).sort();
  const limit = ascending[tokens.length - count] ?? NaN;
  let equals = count - tokens.filter((token) => (scores[token] ?? NaN) > limit).length;
  return tokens.filter((token) => {
    const score = scores[token] ?? NaN;
    return score > limit || score === limit && equals-- > 0;
  });
}

/** How many of `tokens` it takes, the likeliest first, for their weights to be `enough` together. */
function likeliest(
  scores: Float32Array,
  tokens: readonly number[],
  weightOf: (token: number) => number,
  enough: number,
): number {
  const weights = Float64Array.from(tokens, weightOf).sort().reverse();
  let total = 0;
  const index = weights.findIndex((weight) => (total += weight) >= enough);
  return index < 0 ? scores.length : index + 1;
}

function notFinite(what: string): CairnError {
  return new CairnError(
    "non_finite",
    `Cannot draw a token: ${what}; the weights of the model may not be finite, or its training may have diverged`,
  );
}
