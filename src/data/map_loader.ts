import { throwIfAborted } from "../base/abort.ts";
import { deferred } from "../base/deferred.ts";
import { definedFields } from "../base/defined_fields.ts";
import type { Named } from "../base/parts/named.ts";
import type { Description } from "../base/description.ts";
import { Breather } from "../base/event_loop.ts";
import { isPromise, kindOf } from "../base/options/kind_of.ts";
import { checkOptions, type OptionNames } from "../base/options/options.ts";
import { functionDescription } from "../nn/function_description.ts";
import { BatchMemory } from "./batch_memory.ts";
import type { Batch, BatchReader, BatchRequest, BatchSource, ExampleSpec } from "./batch_source.ts";
import { type BatchRows, type Example, type ExampleSpecs, specsOf } from "./example.ts";
import type { ExampleMap } from "./example_map.ts";
import { ExampleOrder, type ExampleOrderOptions } from "./example_order.ts";
import { ExampleRandom } from "./example_random.ts";
import {
  EXAMPLE_LOADER_OPTIONS,
  type ExampleLoaderOptions,
  exampleOf,
  requireLoaderOptions,
  type Transform,
} from "./loader_options.ts";
import { loaderFailed } from "./loader_failure.ts";
import { Slots } from "./slots.ts";

/** Options of {@link MapLoader.open}. */
export interface MapLoaderOptions<R = Example> extends ExampleLoaderOptions<R>, ExampleOrderOptions {
  /** How many examples are read at a time, over all batches; at least 1. Default 16. */
  readonly concurrency?: number | undefined;
}

/** Every option of {@link MapLoaderOptions}. */
export const MAP_LOADER_OPTIONS: OptionNames<MapLoaderOptions> = {
  ...EXAMPLE_LOADER_OPTIONS,
  shuffle: true,
  sampler: true,
  seed: true,
  concurrency: true,
};

/**
 * Batches of examples that are read when they are needed, a few batches ahead. Which examples those are is computed,
 * as by a `DataLoader`, so that any batch of any epoch is reached without reading what is before it.
 */
export class MapLoader<R = Example> implements BatchSource {
  readonly batchSize: number;
  readonly exampleCount: number;
  readonly inputs: Named<ExampleSpec>;
  readonly labels: Named<ExampleSpec>;
  readonly dropLast: boolean | undefined;
  readonly prefetch: number;
  readonly #map: ExampleMap<R>;
  readonly #transform: Transform<R> | undefined;
  readonly #order: ExampleOrder;
  readonly #shuffle: boolean;
  readonly #concurrency: number;
  #description: Promise<Description> | undefined;

  private constructor(map: ExampleMap<R>, specs: ExampleSpecs, options: MapLoaderOptions<R>) {
    this.#map = map;
    this.#order = new ExampleOrder(map.length, options);
    this.#transform = options.transform;
    this.#shuffle = options.shuffle ?? false;
    this.#concurrency = options.concurrency ?? 16;
    this.batchSize = options.batchSize;
    this.exampleCount = this.#order.length;
    this.dropLast = options.dropLast;
    this.prefetch = options.prefetch ?? 2;
    this.inputs = specs.inputs;
    this.labels = specs.labels;
  }

  /**
   * Reads the first example where it is not declared what the examples are.
   *
   * @throws TypeError for what is no map of examples; RangeError for an invalid size or one without examples;
   * CairnError `loader_failed` when the first example cannot be read.
   */
  static async open<R = Example>(
    map: ExampleMap<R>,
    options: MapLoaderOptions<R>,
  ): Promise<MapLoader<R>> {
    checkOptions<object>("MapLoader.open()", options, MAP_LOADER_OPTIONS, "{ batchSize: 64 }");
    requireMap(map);
    requireLoaderOptions(options);
    new Slots("concurrency", options.concurrency ?? 1);
    const { inputs = map.inputs, labels = map.labels } = options;
    if (inputs !== undefined && labels !== undefined) return new MapLoader(map, { inputs, labels }, options);
    const declared = definedFields<Partial<ExampleSpecs>>({ inputs, labels });
    try {
      const record = await map.get(0, { signal: new AbortController().signal });
      const random = (): ExampleRandom => new ExampleRandom({ seed: 0 }, 0, 0);
      const example = await exampleOf(record, options.transform, random, 0);
      return new MapLoader(map, specsOf(example, declared), options);
    } catch (error) {
      throw loaderFailed(error, { epoch: 0, position: 0 }, 0);
    }
  }

  /** The batch, read now. Throws `loader_failed`, with the index of the example. */
  async batchAt(request: BatchRequest): Promise<Batch> {
    return await this.#read(request, this.#newReading(new AbortController().signal));
  }

  /** Reads batches until it is closed, when the signal of what is still read is aborted. */
  openReader(): BatchReader {
    const closing = new AbortController();
    const reading = this.#newReading(closing.signal);
    return {
      batchAt: (request) => this.#read(request, reading),
      reuse: (batch) => reading.memory.reuse(batch),
      close() {
        closing.abort(new DOMException("The batch is needed no more", "AbortError"));
        return Promise.resolve();
      },
    };
  }

  /** Numbers of the batch's examples in the map. */
  indicesAt(request: BatchRequest): number[] {
    return this.#order.batch(request, this.batchSize);
  }

  /** What the map says of itself, its length, how it is ordered, and a checksum of the transform's text. */
  async describe(): Promise<Description> {
    return await (this.#description ??= this.#describe());
  }

  async #describe(): Promise<Description> {
    const { seed, sampler } = this.#order;
    const map = await this.#map.describe?.();
    return {
      name: "MapLoader",
      length: this.#map.length,
      shuffle: this.#shuffle,
      seed: seed === undefined ? null : String(seed),
      ...map === undefined ? {} : { map },
      ...sampler === undefined ? {} : { sampler: sampler.describe() },
      ...this.#transform === undefined ? {} : { transform: functionDescription(this.#transform) },
    };
  }

  /** What hangs when it is closed holds no slot of the next one. */
  #newReading(signal: AbortSignal): Reading {
    const slots = new Slots("concurrency", this.#concurrency);
    return { signal, slots, memory: new BatchMemory(this), asking: Promise.resolve() };
  }

  async #read(request: BatchRequest, reading: Reading): Promise<Batch> {
    const { signal } = reading;
    throwIfAborted(signal);
    const indices = this.indicesAt(request);
    if (this.#transform === undefined && this.#map.getBatch !== undefined) {
      try {
        return await this.#map.getBatch(indices, { signal });
      } catch (error) {
        throw loaderFailed(error, request);
      }
    }
    return await this.#readEach(request, indices, reading);
  }

  async #readEach(request: BatchRequest, indices: readonly number[], reading: Reading): Promise<Batch> {
    const rows = reading.memory.take(indices.length);
    const before = reading.asking;
    const asking = deferred();
    reading.asking = asking.promise;
    // The batch that is needed first has all slots first: otherwise all that are read ahead are done at the same time.
    await before;
    const reads: Promise<void>[] = [];
    try {
      await this.#ask(request, indices, reading, { rows, reads });
    } finally {
      asking.resolve();
    }
    await Promise.all(reads);
    throwIfAborted(reading.signal);
    return reading.memory.lend(rows);
  }

  /** Begins to read each example of a batch, as soon as there is a slot. */
  async #ask(
    request: BatchRequest,
    indices: readonly number[],
    { signal, slots }: Reading,
    { rows, reads }: { readonly rows: BatchRows; readonly reads: Promise<void>[] },
  ): Promise<void> {
    const breather = new Breather({ isWanted: true });
    let hasFailed = false;
    for (const [row, index] of indices.entries()) {
      // The next example begins in the very turn in which another one came: behind it, a step of the training may hold
      // the thread for as long as it takes.
      if (await slots.take()) breather.restart();
      if (hasFailed || signal.aborted) {
        slots.give();
        break;
      }
      const read = this.#readOne(rows, row, index, request, signal).finally(() => slots.give());
      // All of them are awaited in the end; until then an error is no unhandled one.
      read.catch(() => hasFailed = true);
      reads.push(read);
      await breather.breathe();
    }
  }

  async #readOne(
    rows: BatchRows,
    row: number,
    index: number,
    request: BatchRequest,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      const given = this.#map.get(index, { signal });
      const record = isPromise(given) ? await given : given;
      // What is drawn twice in an epoch is not changed twice in the same way.
      const number = this.#order.sampler === undefined ? index : request.position * this.batchSize + row;
      const seed = this.#order.seed ?? request.seed;
      const random = (): ExampleRandom => new ExampleRandom({ seed }, request.epoch, number);
      const example = exampleOf(record, this.#transform, random, index);
      rows.set(row, isPromise(example) ? await example : example);
    } catch (error) {
      throw signal.aborted ? error : loaderFailed(error, request, index);
    }
  }
}

/** What the batches of one reader share. */
interface Reading {
  readonly signal: AbortSignal;
  readonly slots: Slots;
  readonly memory: BatchMemory;
  /** Done when the last batch so far has asked for all its examples. */
  asking: Promise<void>;
}

function requireMap(map: object): void {
  const { length, get }: { readonly length?: unknown; readonly get?: unknown } = Object(map);
  if (typeof get !== "function") {
    throw new TypeError(
      `MapLoader.open() takes { length, get(index) }, found ${kindOf(map)}${
        typeof map === "object" ? " without get" : ""
      }; tensors go to DataLoader.from()`,
    );
  }
  if (!Number.isSafeInteger(length) || Number(length) < 1) {
    throw new RangeError(`The length of a map of examples is an integer from 1, found ${String(length)}`);
  }
}
