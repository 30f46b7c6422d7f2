import type { Elements } from "../../../tensor/tensor_statistics.ts";

/** How the elements of two tensors of one shape differ. */
export interface TensorDifference {
  readonly count: number;
  /** Elements whose bits differ. */
  readonly different: number;
  /** The largest of |a − b|. NaN where one of both is NaN and the other is not. */
  readonly largest: number;
  /** The length of a − b, divided by that of a. 0 where both are all zero. */
  readonly relative: number;
  /** Of the angle between both; NaN where one of them is all zero. */
  readonly cosine: number;
}

/** Adds up a {@link TensorDifference} over pieces, in float64. */
export class DifferenceSum {
  #count = 0;
  #different = 0;
  #largest = 0;
  #squaresA = 0;
  #squaresB = 0;
  #squaresOfDifference = 0;
  #product = 0;

  /** Takes the same elements of both; `bytesA` and `bytesB` are what they are made of. */
  add(a: Elements, b: Elements, bytesA: Uint8Array, bytesB: Uint8Array): void {
    const width = a.length === 0 ? 1 : bytesA.byteLength / a.length;
    for (let i = 0; i < a.length; i++) {
      const x = Number(a[i]);
      const y = Number(b[i]);
      if (!sameBytes(bytesA, bytesB, i * width, width)) this.#addDifferent(x, y);
      this.#squaresA += x * x;
      this.#squaresB += y * y;
      this.#product += x * y;
    }
    this.#count += a.length;
  }

  get result(): TensorDifference {
    const differenceLength = Math.sqrt(this.#squaresOfDifference);
    return {
      count: this.#count,
      different: this.#different,
      largest: this.#largest,
      relative: differenceLength === 0 ? 0 : differenceLength / Math.sqrt(this.#squaresA),
      cosine: this.#different === 0 && this.#squaresA > 0
        ? 1
        : this.#product / (Math.sqrt(this.#squaresA) * Math.sqrt(this.#squaresB)),
    };
  }

  #addDifferent(x: number, y: number): void {
    this.#different++;
    // Other bits of the same NaN, of zero, or of an infinity are no distance.
    const distance = Object.is(x, y) || x === y ? 0 : Math.abs(x - y);
    if (Number.isNaN(distance) || distance > this.#largest) this.#largest = distance;
    this.#squaresOfDifference += distance * distance;
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array, start: number, width: number): boolean {
  for (let i = start; i < start + width; i++) if (a[i] !== b[i]) return false;
  return true;
}
