import { describe, expect, test } from "bun:test";
import { NGrams } from "../../examples/language/ngrams.ts";
import { loadMobyDick } from "../../examples/language/text.ts";

describe("n-gram models", () => {
  // a b a b a c: after a come b, b and c; after b comes a twice.
  const text = Uint8Array.of(0, 1, 0, 1, 0, 2);

  test("of one character are its share, with a part for what is new", () => {
    // 6 characters, 3 different ones, 4 in the alphabet: (count + 3 / 4) / 9.
    const unigrams = new NGrams(text, 1, 4);
    expect(unigrams.loss(Uint8Array.of(0))).toBeCloseTo(-Math.log(3.75 / 9), 12);
    expect(unigrams.loss(Uint8Array.of(3))).toBeCloseTo(-Math.log(0.75 / 9), 12);
  });

  test("of two fall back to one where the context is new", () => {
    const bigrams = new NGrams(text, 2, 4);
    // Counted from the second character on: b a b a c, so that a unigram is (count + 3 / 4) / 8.
    const unigram = (count: number): number => (count + 0.75) / 8;
    expect(bigrams.loss(Uint8Array.of(0, 1))).toBeCloseTo(-Math.log((2 + 2 * unigram(2)) / 5), 12);
    expect(bigrams.loss(Uint8Array.of(2, 1))).toBeCloseTo(-Math.log(unigram(2)), 12);
  });

  test("give probabilities that add up to 1, and the more of the text they see the less loss", () => {
    const long = Uint8Array.from({ length: 3000 }, (_, at) => (at * at + Math.floor(at / 7)) % 11);
    const losses = [1, 2, 3].map((order) => {
      const model = new NGrams(long, order, 12);
      const context = Array.from(long.subarray(500, 500 + order - 1));
      const sum = Array.from(
        { length: 12 },
        (_, next) => Math.exp(-model.loss(Uint8Array.of(...context, next))),
      )
        .reduce((total, probability) => total + probability, 0);
      expect(sum).toBeCloseTo(1, 10);
      return model.loss(long);
    });
    expect(losses.toSorted((a, b) => b - a)).toEqual(losses);
  });
});

describe("the text of the language example", () => {
  test("is all of Moby-Dick in an alphabet that a byte holds, and its end is held out", async () => {
    const { alphabet, training, heldOut } = await loadMobyDick(5000);
    const read = (text: Uint8Array): string => Array.from(text, (place) => alphabet[place]).join("");
    expect(alphabet.length).toBeLessThan(256);
    expect(read(training)).toContain("Call me Ishmael. Some years ago");
    expect(heldOut).toHaveLength(5000);
    expect(read(heldOut)).toContain("found another orphan");
    expect(training.length + heldOut.length).toBeGreaterThan(1_190_000);
  });
});
