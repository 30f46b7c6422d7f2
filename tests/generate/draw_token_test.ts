import { describe, expect, test } from "bun:test";
import { type DrawManner, drawToken } from "../../src/generate/draw_token.ts";
import { thrownBy } from "../helpers/thrown.ts";

const ALL: DrawManner = { temperature: 1, topK: Infinity, topP: 1 };
/** Probabilities 0.1, 0.4, 0.2, 0.3 by their logarithms. */
const SCORES = Float32Array.from([0.1, 0.4, 0.2, 0.3], Math.log);

/** How often each of 1,000 shares, evenly spread, falls on each token. */
function counts(scores: Float32Array, options: Partial<DrawManner> = {}): number[] {
  const found = Array<number>(scores.length).fill(0);
  for (let at = 0; at < 1000; at++) {
    const token = drawToken(scores, { ...ALL, ...options }, (at + 0.5) / 1000);
    found[token] = (found[token] ?? 0) + 1;
  }
  return found;
}

describe("drawing a token", () => {
  test("IN-03 goes by the probabilities that scores say, sharper at a lower temperature", () => {
    expect(counts(SCORES)).toEqual([100, 400, 200, 300]);
    // Squares: 1, 16, 4 and 9 of 30.
    expect(counts(SCORES, { temperature: 0.5 })).toEqual([33, 534, 133, 300]);
    expect(counts(SCORES, { temperature: 1e-9 })).toEqual([0, 1000, 0, 0]);
  });

  test("IN-03 is greedy at temperature 0, and takes the first of equal scores", () => {
    expect(counts(SCORES, { temperature: 0 })).toEqual([0, 1000, 0, 0]);
    expect(drawToken(Float32Array.of(1, 2, 2, 0), { ...ALL, temperature: 0 }, 0.9)).toBe(1);
  });

  test("IN-03 draws from the k highest scores, of equal ones the first", () => {
    expect(counts(SCORES, { topK: 2 })).toEqual([0, 571, 0, 429]);
    expect(counts(SCORES, { topK: 9 })).toEqual([100, 400, 200, 300]);
    expect(counts(Float32Array.of(1, 1, 1, 0), { topK: 2 })).toEqual([500, 500, 0, 0]);
  });

  test("IN-03 draws from as many as have the share p together, the one that reaches it too", () => {
    expect(counts(SCORES, { topP: 0.69 })).toEqual([0, 571, 0, 429]);
    expect(counts(SCORES, { topP: 0.71 })).toEqual([0, 444, 223, 333]);
    expect(counts(SCORES, { topP: 1e-9 })).toEqual([0, 1000, 0, 0]);
    // Of the three highest, two thirds: 4 and 3 of 9.
    expect(counts(SCORES, { topK: 3, topP: 0.66 })).toEqual([0, 571, 0, 429]);
  });

  test("IN-03 never draws what has the score -Infinity, however near to 1 the share is", () => {
    const scores = Float32Array.of(0, -Infinity, 0, -Infinity);
    expect(counts(scores)).toEqual([500, 0, 500, 0]);
    expect(drawToken(scores, ALL, 1 - 2 ** -53)).toBe(2);
  });

  test("IN-03 refuses scores that are not finite, and says which", async () => {
    const messages: string[] = [];
    for (const scores of [[0, NaN], [Infinity, 1], [-Infinity, -Infinity]]) {
      const error = await thrownBy(() => drawToken(Float32Array.from(scores), ALL, 0.5));
      expect(error.code).toBe("non_finite");
      messages.push(error.message.split(";")[0] ?? "");
    }
    expect(messages).toEqual([
      "Cannot draw a token: the score of token 1 is NaN",
      "Cannot draw a token: the score of token 0 is Infinity",
      "Cannot draw a token: the score of every token is -Infinity",
    ]);
  });
});
