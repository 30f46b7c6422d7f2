import { byteSizeOf, type DType } from "../base/dtype.ts";
import { elementsOf } from "./tensor_statistics.ts";

/** How far the elements of two tensors are apart. */
export interface TensorDistance {
  /** Elements that were compared. */
  readonly count: number;
  /** Elements whose bits differ; of two dtypes, those whose values differ. */
  readonly different: number;
  /** The greatest |a - b|. */
  readonly greatest: number;
  /** The length of a - b, in parts of the length of a. */
  readonly relative: number;
  /** Of the angle between a and b, as vectors: 1 where they point the same way, or where both are all zero. */
  readonly cosine: number;
  /** Elements of which one is NaN or infinite and the other one is something else. */
  readonly notFinite: number;
}

/**
 * Adds up a {@link TensorDistance} over pieces, in float64. NaN and infinities are counted, and left out of all other
 * figures.
 */
export class DistanceSum {
  readonly #dtypes: readonly [DType, DType];
  #count = 0;
  #different = 0;
  #greatest = 0;
  #squares = 0;
  #squaresA = 0;
  #squaresB = 0;
  #product = 0;
  #notFinite = 0;

  constructor(dtypeA: DType, dtypeB: DType) {
    this.#dtypes = [dtypeA, dtypeB];
  }

  /** Takes the bytes of the same elements of both. */
  add(bytesA: Uint8Array, bytesB: Uint8Array): void {
    const [dtypeA, dtypeB] = this.#dtypes;
    const [a, b] = [elementsOf(bytesA, dtypeA), elementsOf(bytesB, dtypeB)];
    const width = dtypeA === dtypeB ? byteSizeOf(dtypeA) : 0;
    for (let at = 0; at < a.length; at++) {
      const [left = 0, right = 0] = [a[at], b[at]];
      const isSame = width === 0
        ? Object.is(Number(left), Number(right))
        : hasSameBytes(bytesA, bytesB, at * width, width);
      if (!isSame) this.#different++;
      this.#addPair(left, right);
    }
    this.#count += a.length;
  }

  /** What was found so far. */
  get result(): TensorDistance {
    const [lengthA, lengthB] = [Math.sqrt(this.#squaresA), Math.sqrt(this.#squaresB)];
    const distance = Math.sqrt(this.#squares);
    return {
      count: this.#count,
      different: this.#different,
      greatest: this.#greatest,
      relative: distance === 0 ? 0 : distance / lengthA,
      cosine: this.#cosine(lengthA, lengthB),
      notFinite: this.#notFinite,
    };
  }

  #addPair(a: number | bigint, b: number | bigint): void {
    const [x, y] = [Number(a), Number(b)];
    if (!Number.isFinite(x) || !Number.isFinite(y)) {
      if (!Object.is(x, y)) this.#notFinite++;
      return;
    }
    // Integers of 64 bits do not fit a number.
    const difference = typeof a === "bigint" && typeof b === "bigint" ? Number(a - b) : x - y;
    if (Math.abs(difference) > this.#greatest) this.#greatest = Math.abs(difference);
    this.#squares += difference * difference;
    this.#squaresA += x * x;
    this.#squaresB += y * y;
    this.#product += x * y;
  }

  /** Without the rounding of the roots where nothing differs. */
  #cosine(lengthA: number, lengthB: number): number {
    const isSame = this.#squares === 0 && lengthA === lengthB;
    return isSame ? 1 : this.#product / (lengthA * lengthB);
  }
}

function hasSameBytes(a: Uint8Array, b: Uint8Array, start: number, width: number): boolean {
  for (let at = start; at < start + width; at++) if (a[at] !== b[at]) return false;
  return true;
}
