import { describe, expect, test } from "bun:test";
import { type Batch, type BatchRequest, evaluationBatches } from "../../../src/data/batch_source.ts";
import type { ExampleStream, StreamRequest } from "../../../src/data/stream/example_stream.ts";
import { StreamLoader, type StreamLoaderOptions } from "../../../src/data/stream/stream_loader.ts";
import { thrownBy } from "../../helpers/thrown.ts";

const SPECS = { inputs: { dtype: "f32", shape: [] }, labels: { dtype: "u32", shape: [] } } as const;

/** Records that are numbers, and what was done with their iterators. */
class Numbers implements ExampleStream<number> {
  readonly seeks: boolean;
  readonly requests: StreamRequest[] = [];
  read = 0;
  closed = 0;
  readonly #count: number;

  constructor(count: number, seeks = false) {
    this.#count = count;
    this.seeks = seeks;
  }

  async *open(request: StreamRequest): AsyncGenerator<number> {
    this.requests.push(request);
    try {
      for (let index = this.seeks ? request.first : 0; index < this.#count; index++) {
        await Promise.resolve();
        this.read++;
        yield index + 100 * request.epoch;
      }
    } finally {
      this.closed++;
    }
  }
}

function open(
  stream: ExampleStream<number>,
  options: Partial<StreamLoaderOptions<number>> = {},
): Promise<StreamLoader<number>> {
  return StreamLoader.open(stream, {
    batchSize: 4,
    ...SPECS,
    exampleCount: 10,
    transform: (record) => ({ inputs: record, labels: record }),
    ...options,
  });
}

function request(position: number, epoch = 0): BatchRequest {
  return { seed: 7, epoch, position };
}

function labelsOf(batch: Batch): number[] {
  return [...batch.labels as Uint32Array];
}

async function epochOf(loader: StreamLoader<number>, epoch = 0, from = 0): Promise<number[][]> {
  const reader = loader.openReader();
  const batches: number[][] = [];
  for (let position = from; position < evaluationBatches(loader); position++) {
    batches.push(labelsOf(await reader.batchAt(request(position, epoch))));
  }
  await reader.close();
  return batches;
}

describe("StreamLoader", () => {
  test("DA-01 opens the stream once an epoch, reads no more than it has to, and closes it", async () => {
    const stream = new Numbers(1000);
    const loader = await open(stream);
    expect(stream.requests).toEqual([]);
    expect(await epochOf(loader, 2)).toEqual([[200, 201, 202, 203], [204, 205, 206, 207], [208, 209]]);
    expect(stream.requests).toMatchObject([{ epoch: 2, seed: 7, first: 0 }]);
    expect([stream.read, stream.closed, stream.requests[0]?.signal.aborted]).toEqual([10, 1, true]);
  });

  test("DA-01 goes on in the middle: by seeking where the stream can, else past what is before, undecoded", async () => {
    for (const seeks of [false, true]) {
      const stream = new Numbers(10, seeks);
      const decoded: number[] = [];
      const loader = await open(stream, {
        transform(record) {
          decoded.push(record);
          return { inputs: record, labels: record };
        },
      });
      expect(await epochOf(loader, 0, 1)).toEqual([[4, 5, 6, 7], [8, 9]]);
      expect([stream.read, stream.requests[0]?.first]).toEqual([seeks ? 6 : 10, 4]);
      expect(decoded).toEqual([4, 5, 6, 7, 8, 9]);
    }
  });

  test("DA-01 shuffled within blocks, every example comes once, and any batch is the same wherever it is begun", async () => {
    for (const shuffleWithin of [2, 3, 7, 36, 37, 100]) {
      for (const seeks of [false, true]) {
        const stream = new Numbers(37, seeks);
        const loader = await open(stream, { exampleCount: 37, shuffleWithin });
        const whole = await epochOf(loader);
        const all = whole.flat();
        expect([...all].sort((a, b) => a - b)).toEqual(Array.from({ length: 37 }, (_, index) => index));
        expect(all).not.toEqual([...all].sort((a, b) => a - b));
        for (const from of [1, 4, 9]) expect(await epochOf(loader, 0, from)).toEqual(whole.slice(from));
        const next = (await epochOf(loader, 1)).flat().map((label) => label - 100);
        expect(next).not.toEqual(all);
      }
    }
  });

  test("DA-01 reads one record for each that it gives once a block is full", async () => {
    const stream = new Numbers(1000);
    const loader = await open(stream, { exampleCount: 900, shuffleWithin: 50, batchSize: 1 });
    const reader = loader.openReader();
    const counts: number[] = [];
    for (let position = 0; position < 400; position++) {
      await reader.batchAt(request(position));
      counts.push(stream.read - position);
    }
    await reader.close();
    expect(Math.max(...counts)).toBeLessThanOrEqual(101);
    const steps = counts.slice(120).map((count, at) => count - (counts[120 + at - 1] ?? count));
    // Never a whole block at once: at its end, only what the block before left unread.
    expect(Math.max(...steps)).toBeLessThan(3);
  });

  test("DA-01 counts a stream that does not say how long it is, and takes its first example for all", async () => {
    const stream = new Numbers(9);
    const loader = await StreamLoader.open((at: StreamRequest) => stream.open(at), {
      batchSize: 4,
      transform: (record) => ({ inputs: [record, record], labels: record }),
    });
    expect([loader.exampleCount, loader.inputs, loader.labels]).toEqual([
      9,
      { dtype: "f32", shape: [2] },
      { dtype: "f32", shape: [] },
    ]);
    expect(stream.closed).toBe(1);
    expect((await thrownBy(() => StreamLoader.open(() => [], { batchSize: 1 }))).message).toBe(
      "The stream has no examples; give it at least one",
    );
  });

  test("DA-01 a stream that ends early, and one that throws, name epoch, batch and example, and are closed", async () => {
    const short = new Numbers(6);
    const loader = await open(short);
    const reader = loader.openReader();
    await reader.batchAt(request(0));
    expect(await thrownBy(() => reader.batchAt(request(1)))).toMatchObject({
      code: "loader_failed",
      message:
        "Cannot read example 6 of batch 1 of epoch 1: the stream ended after 6 examples, expected 10; give the same " +
        "examples in each epoch, or say exampleCount",
    });
    expect(short.closed).toBe(1);
    const cause = new Error("connection reset");
    const broken = await open({
      async *open() {
        yield* [0, 1, 2];
        await Promise.resolve();
        throw cause;
      },
    });
    expect(await thrownBy(() => broken.batchAt(request(0, 4)))).toMatchObject({
      message: "Cannot read example 3 of batch 0 of epoch 5: connection reset",
      details: { value: { epoch: 5, batch: 0, index: 3 } },
      cause,
    });
  });

  test("DA-01 what is no stream is refused with what to give instead", async () => {
    const iterator = [1, 2][Symbol.iterator]();
    const refused = await thrownBy(() =>
      StreamLoader.open(iterator as unknown as ExampleStream, { batchSize: 1 })
    );
    expect(refused.message).toContain("give () => makeIterator()");
    const nothing = await thrownBy(() => StreamLoader.open(() => 5 as unknown as never[], { batchSize: 1 }));
    expect(nothing.message).toContain("is an iterable or an async one, found a number");
  });
});
