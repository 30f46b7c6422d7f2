/** What was seen after one context: how often each character, how many characters, and how many different ones. */
interface Seen {
  readonly counts: Uint32Array;
  total: number;
  different: number;
}

/**
 * A model that looks at the last `order - 1` characters: 1 is a unigram model, 2 a bigram model, 3 a trigram model. It
 * counts, and what is new after a context it gives the probability that a shorter context says (Witten and Bell 1991).
 */
export class NGrams {
  readonly #alphabet: number;
  /** By the length of the context, and by the context as a number. */
  readonly #seen: readonly Map<number, Seen>[];

  constructor(text: Uint8Array, order: number, alphabet: number) {
    this.#alphabet = alphabet;
    this.#seen = Array.from({ length: order }, () => new Map());
    for (let at = order - 1; at < text.length; at++) {
      this.#seen.forEach((seen, length) =>
        this.#count(seen, this.#context(text, at, length), text[at] ?? NaN)
      );
    }
  }

  /** The mean of the negative logarithm of each character's probability, in nats. */
  loss(text: Uint8Array): number {
    const order = this.#seen.length;
    let loss = 0;
    for (let at = order - 1; at < text.length; at++) loss -= Math.log(this.#probability(text, at));
    return loss / (text.length - order + 1);
  }

  #probability(text: Uint8Array, at: number): number {
    return this.#seen.reduce((shorter, seen, length) => {
      const found = seen.get(this.#context(text, at, length));
      if (found === undefined) return shorter;
      const { counts, total, different } = found;
      return ((counts[text[at] ?? NaN] ?? NaN) + different * shorter) / (total + different);
    }, 1 / this.#alphabet);
  }

  /** The `length` characters before `at` as a number. */
  #context(text: Uint8Array, at: number, length: number): number {
    let context = 0;
    for (let place = at - length; place < at; place++) {
      context = context * this.#alphabet + (text[place] ?? NaN);
    }
    return context;
  }

  #count(seen: Map<number, Seen>, context: number, character: number): void {
    let found = seen.get(context);
    if (found === undefined) {
      found = { counts: new Uint32Array(this.#alphabet), total: 0, different: 0 };
      seen.set(context, found);
    }
    if (found.counts[character] === 0) found.different++;
    found.counts[character] = (found.counts[character] ?? 0) + 1;
    found.total++;
  }
}
