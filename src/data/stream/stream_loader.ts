import { definedFields } from "../../base/defined_fields.ts";
import type { Named } from "../../base/parts/named.ts";
import type { Description } from "../../base/description.ts";
import { kindOf } from "../../base/options/kind_of.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { functionDescription } from "../../nn/function_description.ts";
import type { Batch, BatchReader, BatchRequest, BatchSource, ExampleSpec } from "../batch_source.ts";
import { type Example, type ExampleSpecs, specsOf } from "../example.ts";
import { ExampleRandom } from "../example_random.ts";
import type { ExampleStream } from "./example_stream.ts";
import {
  EXAMPLE_LOADER_OPTIONS,
  type ExampleLoaderOptions,
  exampleOf,
  requireLoaderOptions,
  type Transform,
} from "../loader_options.ts";
import { loaderFailed } from "../loader_failure.ts";
import { checkedSeed, type Seed } from "../seed.ts";
import { OpenedStream } from "./opened_stream.ts";
import { type StreamedExamples, StreamReader } from "./stream_reader.ts";

/** Options of {@link StreamLoader.open}. */
export interface StreamLoaderOptions<R = Example> extends ExampleLoaderOptions<R> {
  /**
   * Examples in an epoch: the first of the stream, which may go on for ever. Default: what the stream says; where that
   * says nothing, it is read once to count them.
   */
  readonly exampleCount?: number | undefined;
  /**
   * Examples that are shuffled together, at least 1; up to twice as many records are in memory. Blocks of so many are
   * shuffled, and in each epoch they begin at other places. Default 1: the order of the stream.
   */
  readonly shuffleWithin?: number | undefined;
  /** Of the shuffles and of `transform`. Default: the seed of the run. */
  readonly seed?: Seed | undefined;
}

/** Every option of {@link StreamLoaderOptions}. */
export const STREAM_LOADER_OPTIONS: OptionNames<StreamLoaderOptions> = {
  ...EXAMPLE_LOADER_OPTIONS,
  exampleCount: true,
  shuffleWithin: true,
  seed: true,
};

/**
 * Batches of examples that come one after the other. A run is resumed by position: the stream of the epoch is opened
 * anew, and what was trained on already is skipped.
 */
export class StreamLoader<R = Example> implements BatchSource {
  readonly batchSize: number;
  readonly exampleCount: number;
  readonly inputs: Named<ExampleSpec>;
  readonly labels: Named<ExampleSpec>;
  readonly dropLast: boolean | undefined;
  readonly prefetch: number;
  readonly #stream: ExampleStream<R>;
  readonly #transform: Transform<R> | undefined;
  readonly #shuffleWithin: number;
  readonly #seed: Seed | undefined;
  #description: Promise<Description> | undefined;

  private constructor(
    stream: ExampleStream<R>,
    { specs, exampleCount }: FirstLook,
    options: StreamLoaderOptions<R>,
  ) {
    this.#stream = stream;
    this.#transform = options.transform;
    this.#shuffleWithin = options.shuffleWithin ?? 1;
    this.#seed = options.seed === undefined ? undefined : checkedSeed(options.seed);
    this.batchSize = options.batchSize;
    this.exampleCount = exampleCount;
    this.dropLast = options.dropLast;
    this.prefetch = options.prefetch ?? 2;
    this.inputs = specs.inputs;
    this.labels = specs.labels;
  }

  /**
   * Opens the stream once, where it is not declared what and how many its examples are: to read the first one, or to
   * count all of them.
   *
   * @param stream A function that opens it, or what has one and says more.
   * @throws TypeError for what is no stream of examples; RangeError for an invalid number or one without examples;
   * CairnError `loader_failed` for what goes wrong in it.
   */
  static async open<R = Example>(
    stream: ExampleStream<R> | ExampleStream<R>["open"],
    options: StreamLoaderOptions<R>,
  ): Promise<StreamLoader<R>> {
    checkOptions<object>("StreamLoader.open()", options, STREAM_LOADER_OPTIONS, "{ batchSize: 64 }");
    const opened = streamOf(stream);
    requireLoaderOptions(options);
    const { shuffleWithin = 1, exampleCount = opened.exampleCount } = options;
    requireCount("shuffleWithin", shuffleWithin);
    if (exampleCount !== undefined) requireCount("exampleCount", exampleCount);
    return new StreamLoader(opened, await firstLook(opened, options, exampleCount), options);
  }

  /** The batch: opens the stream, and reads up to there. Throws `loader_failed`, with the index of the example. */
  async batchAt(request: BatchRequest): Promise<Batch> {
    const reader = this.openReader();
    try {
      return await reader.batchAt(request);
    } finally {
      await reader.close();
    }
  }

  /** Keeps the stream open from one batch to the next, and closes its iterator when it is closed. */
  openReader(): BatchReader {
    const examples: StreamedExamples<R> = {
      stream: this.#stream,
      transform: this.#transform,
      shuffleWithin: this.#shuffleWithin,
      seed: this.#seed,
    };
    return new StreamReader(this, examples);
  }

  /** What the stream says of itself, its shuffles, and a checksum of the transform's text. */
  async describe(): Promise<Description> {
    return await (this.#description ??= this.#describe());
  }

  async #describe(): Promise<Description> {
    const stream = await this.#stream.describe?.();
    return {
      name: "StreamLoader",
      shuffleWithin: this.#shuffleWithin,
      seed: this.#seed === undefined ? null : String(this.#seed),
      ...stream === undefined ? {} : { stream },
      ...this.#transform === undefined ? {} : { transform: functionDescription(this.#transform) },
    };
  }
}

/** What is known of a stream before it is trained on. */
interface FirstLook {
  readonly specs: ExampleSpecs;
  readonly exampleCount: number;
}

async function firstLook<R>(
  stream: ExampleStream<R>,
  { inputs, labels, transform }: StreamLoaderOptions<R>,
  exampleCount: number | undefined,
): Promise<FirstLook> {
  const isDeclared = inputs !== undefined && labels !== undefined;
  if (isDeclared && exampleCount !== undefined) return { specs: { inputs, labels }, exampleCount };
  const declared = definedFields<Partial<ExampleSpecs>>({ inputs, labels });
  const opened = new OpenedStream(stream, { seed: 0, epoch: 0, first: 0 });
  try {
    const first = await opened.next();
    if (first.done === true) throw new RangeError("The stream has no examples; give it at least one");
    const random = (): ExampleRandom => new ExampleRandom({ seed: 0 }, 0, 0);
    const specs = isDeclared
      ? { inputs, labels }
      : specsOf(await exampleOf(first.value, transform, random, 0), declared);
    if (exampleCount !== undefined) return { specs, exampleCount };
    let count = 1;
    while ((await opened.next()).done !== true) count++;
    return { specs, exampleCount: count };
  } catch (error) {
    if (error instanceof RangeError && opened.place === 0) throw error;
    throw loaderFailed(error, { epoch: 0, position: 0 }, Math.max(0, opened.place - 1));
  } finally {
    await opened.close();
  }
}

function streamOf<R>(stream: ExampleStream<R> | ExampleStream<R>["open"]): ExampleStream<R> {
  if (typeof stream === "function") return { open: stream };
  const given: Partial<ExampleStream<R>> | null | undefined = stream;
  if (typeof given?.open === "function") return stream;
  throw new TypeError(
    `StreamLoader.open() takes a function that gives a new iterator for an epoch, found ${kindOf(stream)}` +
      "; an iterator can be read only once: give () => makeIterator()",
  );
}

function requireCount(name: string, count: number): void {
  if (Number.isSafeInteger(count) && count >= 1) return;
  throw new RangeError(`${name} is an integer from 1, found ${count}`);
}
