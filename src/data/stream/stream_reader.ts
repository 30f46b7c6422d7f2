import { Breather } from "../../base/event_loop.ts";
import { isPromise } from "../../base/options/kind_of.ts";
import { CairnError } from "../../base/errors.ts";
import {
  type Batch,
  type BatchReader,
  type BatchRequest,
  type BatchSource,
  sizeOfBatch,
} from "../batch_source.ts";
import { BatchMemory } from "../batch_memory.ts";
import type { BatchRows } from "../example.ts";
import { ExampleRandom } from "../example_random.ts";
import type { ExampleStream } from "./example_stream.ts";
import { exampleOf, type Transform } from "../loader_options.ts";
import { loaderFailed } from "../loader_failure.ts";
import { OpenedStream } from "./opened_stream.ts";
import { checkedSeed, type Seed } from "../seed.ts";
import { ShuffleBlocks } from "./shuffle_blocks.ts";

/** What a stream's examples are made of. */
export interface StreamedExamples<R> {
  readonly stream: ExampleStream<R>;
  readonly transform: Transform<R> | undefined;
  readonly shuffleWithin: number;
  /** Instead of the run's. */
  readonly seed: Seed | undefined;
}

/** A record and its number in the stream. */
interface NumberedRecord<R> {
  readonly index: number;
  readonly record: R;
}

/** Reads batches of a stream one after the other. A batch that is not the next one opens the stream anew. */
export class StreamReader<R> implements BatchReader {
  readonly #source: BatchSource;
  readonly #examples: StreamedExamples<R>;
  readonly #memory: BatchMemory;
  #epoch: OrderedStream<R> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(source: BatchSource, examples: StreamedExamples<R>) {
    this.#source = source;
    this.#examples = examples;
    this.#memory = new BatchMemory(source);
  }

  /** Batches are read in the order in which they are asked for. */
  batchAt(request: BatchRequest): Promise<Batch> {
    const batch = this.#last.then(() => this.#read(request));
    this.#last = batch.catch(() => undefined);
    return batch;
  }

  reuse(batch: Batch): void {
    this.#memory.reuse(batch);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const epoch = this.#epoch;
    this.#epoch = undefined;
    await epoch?.close();
  }

  async #read(request: BatchRequest): Promise<Batch> {
    const first = request.position * this.#source.batchSize;
    const rows = this.#memory.take(sizeOfBatch(this.#source, request.position));
    const breather = new Breather({ isWanted: true });
    const epoch = await this.#epochAt(request, first);
    try {
      for (let row = 0; row < sizeOfBatch(this.#source, request.position); row++) {
        await this.#readOne(rows, row, epoch, request);
        await breather.breathe();
      }
    } catch (error) {
      // It is opened anew where the batch is asked for again.
      await this.#drop();
      throw error;
    }
    return this.#memory.lend(rows);
  }

  async #readOne(
    rows: BatchRows,
    row: number,
    epoch: OrderedStream<R>,
    request: BatchRequest,
  ): Promise<void> {
    // Of the record that is asked for; a shuffled one is known once it is there.
    let index: number | undefined;
    try {
      const found = await epoch.next();
      ({ index } = found);
      const seed = this.#examples.seed ?? request.seed;
      const random = (): ExampleRandom => new ExampleRandom({ seed }, request.epoch, found.index);
      const example = exampleOf(found.record, this.#examples.transform, random, found.index);
      rows.set(row, isPromise(example) ? await example : example);
    } catch (error) {
      throw loaderFailed(error, request, index ?? epoch.place);
    }
  }

  async #epochAt(request: BatchRequest, first: number): Promise<OrderedStream<R>> {
    if (this.#isClosed) {
      throw new CairnError("closed", "Cannot read a batch: its reader was closed meanwhile");
    }
    if (this.#epoch?.isAt(request, first) === true) return this.#epoch;
    await this.#drop();
    const { exampleCount } = this.#source;
    const epoch = new OrderedStream({ ...this.#examples, exampleCount }, request, first);
    this.#epoch = epoch;
    return epoch;
  }

  async #drop(): Promise<void> {
    const epoch = this.#epoch;
    this.#epoch = undefined;
    // An iterator that fails to close must not hide why it is closed.
    await epoch?.close().catch(() => undefined);
  }
}

/** The records of an epoch in its order, from one on. */
class OrderedStream<R> {
  readonly #request: BatchRequest;
  readonly #exampleCount: number;
  readonly #opened: OpenedStream<R>;
  readonly #blocks: ShuffleBlocks;
  /** The next one in the order. */
  #next: number;
  /** The block that it is in, and as much of the one behind it as was read in the meantime. */
  #block:
    | { readonly start: number; readonly records: (R | undefined)[]; readonly order: readonly number[] }
    | undefined;
  #ahead: R[] = [];

  constructor(
    { stream, shuffleWithin, seed, exampleCount }: StreamedExamples<R> & { readonly exampleCount: number },
    request: BatchRequest,
    first: number,
  ) {
    const ofRun = checkedSeed(request.seed);
    this.#request = request;
    this.#exampleCount = exampleCount;
    this.#next = first;
    this.#blocks = new ShuffleBlocks(exampleCount, shuffleWithin, { ...request, seed: seed ?? ofRun });
    const { start } = this.#blocks.at(first);
    this.#opened = new OpenedStream(stream, { seed: ofRun, epoch: request.epoch, first: start });
  }

  /** The number of the record that is read next. */
  get place(): number {
    return this.#opened.place;
  }

  isAt({ epoch, seed, orderVersion }: BatchRequest, first: number): boolean {
    const own = this.#request;
    return epoch === own.epoch && seed === own.seed && orderVersion === own.orderVersion &&
      first === this.#next;
  }

  async next(): Promise<NumberedRecord<R>> {
    const at = this.#blocks.at(this.#next);
    if (this.#block?.start !== at.start) {
      const records: (R | undefined)[] = this.#ahead;
      this.#ahead = [];
      while (this.#opened.place < at.start) await this.#read();
      while (records.length < at.length) records.push(await this.#read());
      this.#block = { start: at.start, records, order: at.order() };
    } else if (this.#opened.place < this.#exampleCount && this.#ahead.length < this.#next - at.start) {
      // One in, one out: no block is waited for as a whole but the first.
      this.#ahead.push(await this.#read());
    }
    const within = this.#block.order[this.#next - at.start] ?? 0;
    const record = this.#block.records[within] as R;
    this.#block.records[within] = undefined;
    this.#next++;
    return { index: at.start + within, record };
  }

  async close(): Promise<void> {
    await this.#opened.close();
  }

  async #read(): Promise<R> {
    const result = await this.#opened.next();
    if (result.done !== true) return result.value;
    throw new CairnError(
      "short_batch",
      `the stream ended after ${this.#opened.place} examples, expected ${this.#exampleCount}; give the same examples in ` +
        "each epoch, or say exampleCount",
      { details: { value: this.#opened.place, limit: this.#exampleCount } },
    );
  }
}
