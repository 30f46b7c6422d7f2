import { describe, expect, test } from "bun:test";
import { ChunksUnderWay } from "../../../src/container/read/chunks_under_way.ts";
import type { PostedJob } from "../../../src/container/codec/codec_pool.ts";
import type { Lent } from "../../../src/container/codec/lent.ts";
import { thrownBy } from "../../helpers/thrown.ts";

interface Numbered extends Lent {
  readonly number: number;
}

/** Chunks that say when they are released or abandoned. */
function numbered(): {
  chunk: (number: number) => PostedJob<Numbered>;
  released: number[];
  abandoned: number[];
} {
  const released: number[] = [];
  const abandoned: number[] = [];
  return {
    chunk: (number) => ({
      take: () => Promise.resolve({ number, release: () => void released.push(number) }),
      abandon: () => void abandoned.push(number),
    }),
    released,
    abandoned,
  };
}

function failing(error: Error): PostedJob<Numbered> {
  return { take: () => Promise.reject(error), abandon: () => {} };
}

async function all(chunks: AsyncGenerator<Numbered>): Promise<number[]> {
  const numbers: number[] = [];
  for await (const { number } of chunks) numbers.push(number);
  return numbers;
}

describe("ChunksUnderWay", () => {
  test("gives chunks in order, no sooner than there are too many, and releases each after its turn", async () => {
    const { chunk, released } = numbered();
    const underWay = new ChunksUnderWay<Numbered>(2);
    expect(underWay.isEmpty).toBe(true);
    expect(await all(underWay.add(chunk(1)))).toEqual([]);
    expect(await all(underWay.add(chunk(2)))).toEqual([]);
    expect(underWay.isEmpty).toBe(false);
    for await (const { number } of underWay.add(chunk(3))) {
      expect([number, released]).toEqual([1, []]);
    }
    expect(released).toEqual([1]);
    expect(await all(underWay.add(chunk(4), true))).toEqual([2, 3, 4]);
    expect(await all(underWay.add(chunk(5)))).toEqual([]);
    expect(await all(underWay.drain())).toEqual([5]);
    expect(released).toEqual([1, 2, 3, 4, 5]);
  });

  test("throws a failure when it is its turn, and abandons what is left", async () => {
    const { chunk, released, abandoned } = numbered();
    const failure = new Error("damaged");
    const underWay = new ChunksUnderWay<Numbered>(4);
    await all(underWay.add(chunk(1)));
    await all(underWay.add(failing(failure)));
    await all(underWay.add(chunk(3)));
    await all(underWay.add(failing(new Error("later"))));
    expect(await thrownBy(() => all(underWay.drain()))).toBe(failure);
    expect(released).toEqual([1]);
    underWay.abandon();
    expect(underWay.isEmpty).toBe(true);
    expect([released, abandoned]).toEqual([[1], [3]]);
  });

  test("releases a chunk whose reader leaves early", async () => {
    const { chunk, released } = numbered();
    const underWay = new ChunksUnderWay<Numbered>(0);
    for await (const { number } of underWay.add(chunk(1))) {
      expect(number).toBe(1);
      break;
    }
    expect(released).toEqual([1]);
  });
});
