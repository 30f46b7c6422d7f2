import { byteSizeOf, type DType } from "../../base/dtype.ts";
import { type Elements, elementsOf } from "../../tensor/tensor_statistics.ts";

/** How far the elements of two tensors are apart. */
export interface Distance {
  /** Whether dtype and every bit are the same. */
  readonly hasEqualBits: boolean;
  /** The greatest |a - b|. */
  readonly greatest: number;
  /** The length of a - b, in parts of the length of a. */
  readonly relative: number;
  /** Of the angle between a and b, as vectors: 1 where they point the same way. */
  readonly cosine: number;
  /** Elements of which one is NaN or infinite and the other one is something else. All other figures leave them out. */
  readonly notFinite: number;
}

/** A tensor as a stream of pieces. */
export interface Stream {
  readonly dtype: DType;
  readonly pieces: AsyncIterable<Uint8Array>;
}

/** Compares two tensors of as many elements, piece by piece, in float64. */
export async function distanceOf(a: Stream, b: Stream): Promise<Distance> {
  const sums = new Sums();
  let hasEqualBits = a.dtype === b.dtype;
  for await (const [left, right] of inStep(a, b)) {
    hasEqualBits &&= isSame(left, right);
    sums.add(elementsOf(left, a.dtype), elementsOf(right, b.dtype));
  }
  return { hasEqualBits, ...sums.figures() };
}

class Sums {
  #greatest = 0;
  #difference = 0;
  #left = 0;
  #right = 0;
  #product = 0;
  #notFinite = 0;

  add(left: Elements, right: Elements): void {
    for (let at = 0; at < left.length; at++) {
      const [a = 0, b = 0] = [left[at], right[at]];
      const x = Number(a);
      const y = Number(b);
      if (!Number.isFinite(x) || !Number.isFinite(y)) {
        if (!Object.is(x, y)) this.#notFinite++;
        continue;
      }
      // Integers of 64 bits do not fit a number.
      const difference = typeof a === "bigint" && typeof b === "bigint" ? Number(a - b) : x - y;
      if (Math.abs(difference) > this.#greatest) this.#greatest = Math.abs(difference);
      this.#difference += difference * difference;
      this.#left += x * x;
      this.#right += y * y;
      this.#product += x * y;
    }
  }

  figures(): Omit<Distance, "hasEqualBits"> {
    const length = Math.sqrt(this.#left);
    const otherLength = Math.sqrt(this.#right);
    const difference = Math.sqrt(this.#difference);
    return {
      greatest: this.#greatest,
      relative: difference === 0 ? 0 : difference / length,
      cosine: length === 0 && otherLength === 0 ? 1 : this.#product / (length * otherLength),
      notFinite: this.#notFinite,
    };
  }
}

/** Two streams in pieces of as many elements each. */
async function* inStep(a: Stream, b: Stream): AsyncGenerator<[Uint8Array, Uint8Array]> {
  const [left, right] = [new Reading(a), new Reading(b)];
  while (await left.fill() && await right.fill()) {
    const count = Math.min(left.count, right.count);
    yield [left.take(count), right.take(count)];
  }
}

class Reading {
  readonly #byteSize: number;
  readonly #pieces: AsyncIterator<Uint8Array>;
  #piece: Uint8Array = new Uint8Array(0);

  constructor({ dtype, pieces }: Stream) {
    this.#byteSize = byteSizeOf(dtype);
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  /** Elements that are there. */
  get count(): number {
    return this.#piece.byteLength / this.#byteSize;
  }

  /** Whether there are more elements. */
  async fill(): Promise<boolean> {
    while (this.#piece.byteLength === 0) {
      const { done, value } = await this.#pieces.next();
      if (done === true) return false;
      this.#piece = value;
    }
    return true;
  }

  take(count: number): Uint8Array {
    const taken = this.#piece.subarray(0, count * this.#byteSize);
    this.#piece = this.#piece.subarray(count * this.#byteSize);
    return taken;
  }
}

function isSame(left: Uint8Array, right: Uint8Array): boolean {
  if (left.byteLength !== right.byteLength) return false;
  for (let at = 0; at < left.byteLength; at++) if (left[at] !== right[at]) return false;
  return true;
}
