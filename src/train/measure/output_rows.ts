import { allocate } from "../../base/allocate.ts";

/** The outputs of all examples, each at its place. */
export class OutputRows {
  readonly bytes: Uint8Array;
  readonly #rowBytes: number;
  readonly #count: number;
  readonly #isFilled: Uint8Array;

  constructor(count: number, rowBytes: number) {
    this.bytes = allocate(count * rowBytes);
    this.#rowBytes = rowBytes;
    this.#count = count;
    this.#isFilled = new Uint8Array(count);
  }

  /** Puts the rows of a batch where `indices` says, and without it one after the other from `first` on. */
  put(batch: Uint8Array, first: number, indices: readonly number[] | undefined): void {
    const rowBytes = this.#rowBytes;
    if (indices === undefined) return this.bytes.set(batch, first * rowBytes);
    for (const [row, index] of indices.entries()) {
      if (!Number.isInteger(index) || index < 0 || index >= this.#count || this.#isFilled[index] === 1) {
        throw new RangeError(
          `predict() needs each of the ${this.#count} examples once, and indicesAt() of the data source gives ` +
            `${index} a second time or beyond them; give a source without indicesAt() or in another order`,
        );
      }
      this.#isFilled[index] = 1;
      this.bytes.set(batch.subarray(row * rowBytes, (row + 1) * rowBytes), index * rowBytes);
    }
  }
}
