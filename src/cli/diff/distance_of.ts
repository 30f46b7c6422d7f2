import { byteSizeOf, type DType } from "../../base/dtype.ts";
import { DistanceSum, type TensorDistance } from "../../tensor/tensor_distance.ts";

/** A tensor as a stream of pieces. */
export interface Stream {
  readonly dtype: DType;
  readonly pieces: AsyncIterable<Uint8Array>;
}

/** Compares two tensors of as many elements, piece by piece. */
export async function distanceOf(a: Stream, b: Stream): Promise<TensorDistance> {
  const sum = new DistanceSum(a.dtype, b.dtype);
  for await (const [left, right] of inStep(a, b)) sum.add(left, right);
  return sum.result;
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
