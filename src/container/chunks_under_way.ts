/** A chunk's index and its raw bytes. */
export interface RawChunk {
  readonly index: number;
  readonly raw: Uint8Array;
}

/** Chunks that are decoded at the same time and given back in order: no more than `limit` of them wait. */
export class ChunksUnderWay {
  readonly #limit: number;
  readonly #queue: { readonly index: number; readonly raw: Promise<Uint8Array> }[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Takes one more chunk, and gives the first ones where there are too many. Rejects where they do. */
  async *add(index: number, raw: Promise<Uint8Array>): AsyncGenerator<RawChunk> {
    // Whoever reads may stop before it is this one's turn; that is no failure.
    raw.catch(() => {});
    this.#queue.push({ index, raw });
    yield* this.#downTo(this.#limit);
  }

  /** Gives all that is left. */
  async *drain(): AsyncGenerator<RawChunk> {
    yield* this.#downTo(0);
  }

  async *#downTo(count: number): AsyncGenerator<RawChunk> {
    while (this.#queue.length > count) {
      const { index, raw } = this.#queue.shift() as { index: number; raw: Promise<Uint8Array> };
      yield { index, raw: await raw };
    }
  }
}
