import type { OrderedEpoch } from "../example_order.ts";
import { KeyedWords, partOfSeed } from "../keyed_words.ts";
import { Permutation } from "../permutation.ts";
import type { Seed } from "../seed.ts";

/** Keeps the words of blocks apart from those of other uses of the same seed: "bloc". */
const BLOCKS = 0x626c_6f63;

/** Neighbours in a stream that are shuffled together. */
export interface ShuffleBlock {
  /** The number of the first one. */
  readonly start: number;
  readonly length: number;
  /** Which one of the block is at each place of it. */
  order(): readonly number[];
}

/**
 * Blocks of an epoch, each of which is shuffled by itself. So the order at any place follows from one block, and a run
 * that is resumed reads that block and none before it. In each epoch the blocks begin at other places, so that all
 * neighbours come to be shuffled with one another.
 */
export class ShuffleBlocks {
  readonly #count: number;
  readonly #length: number;
  readonly #epoch: OrderedEpoch;
  /** Length of the first block. */
  readonly #offset: number;

  constructor(exampleCount: number, blockLength: number, epoch: OrderedEpoch) {
    this.#count = exampleCount;
    this.#length = Math.min(blockLength, exampleCount);
    this.#epoch = epoch;
    const isWhole = this.#length === 1 || this.#length === exampleCount;
    this.#offset = isWhole ? this.#length : 1 + new KeyedWords(...this.#keyOf(0)).below(this.#length);
  }

  /** The block that `place` of the epoch is in. */
  at(place: number): ShuffleBlock {
    const number = place < this.#offset ? 0 : 1 + Math.floor((place - this.#offset) / this.#length);
    const start = number === 0 ? 0 : this.#offset + (number - 1) * this.#length;
    const length = Math.min(number === 0 ? this.#offset : this.#length, this.#count - start);
    return { start, length, order: () => this.#orderOf(number, length) };
  }

  #orderOf(number: number, length: number): readonly number[] {
    if (length === 1) return [0];
    const { epoch, orderVersion } = this.#epoch;
    const order = new Permutation(length, partOfSeed(...this.#keyOf(1 + number)), epoch, orderVersion);
    return Array.from({ length }, (_, at) => order.at(at));
  }

  /** Of what is random of block `number - 1`; 0 stands for where the blocks begin. */
  #keyOf(number: number): [Seed, [number, number, number]] {
    const { seed, epoch } = this.#epoch;
    return [seed, [epoch >>> 0, number >>> 0, BLOCKS]];
  }
}
