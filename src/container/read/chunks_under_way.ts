import type { PostedJob } from "../codec/codec_pool.ts";
import type { Lent } from "../codec/lent.ts";

/** A chunk's index and its raw bytes. */
export interface RawChunk {
  readonly index: number;
  readonly raw: Uint8Array;
}

/** Chunks that are decoded at the same time and given back in order: no more than `limit` of them wait. */
export class ChunksUnderWay<Chunk extends Lent> {
  readonly #limit: number;
  readonly #queue: PostedJob<Chunk>[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether no chunk waits. */
  get isEmpty(): boolean {
    return this.#queue.length === 0;
  }

  /**
   * Takes one more chunk, and gives the first ones where there are too many; or all, `atOnce`. What is given is
   * released when the next is asked for. Rejects where taking one does.
   */
  async *add(chunk: PostedJob<Chunk>, atOnce = false): AsyncGenerator<Chunk> {
    this.#queue.push(chunk);
    yield* this.#downTo(atOnce ? 0 : this.#limit);
  }

  /** Gives all that is left. */
  async *drain(): AsyncGenerator<Chunk> {
    yield* this.#downTo(0);
  }

  /** Gives up what will not be asked for. */
  abandon(): void {
    for (const chunk of this.#queue.splice(0)) chunk.abandon();
  }

  async *#downTo(count: number): AsyncGenerator<Chunk> {
    while (this.#queue.length > count) {
      const chunk = await (this.#queue.shift() as PostedJob<Chunk>).take();
      try {
        yield chunk;
      } finally {
        chunk.release();
      }
    }
  }
}
