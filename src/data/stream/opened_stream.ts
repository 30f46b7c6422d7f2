import { isPromise, kindOf } from "../../base/options/kind_of.ts";
import type { ExampleStream, Streamed } from "./example_stream.ts";
import type { Seed } from "../seed.ts";

/** A stream that is being read. */
export class OpenedStream<R> {
  readonly #stream: ExampleStream<R>;
  readonly #request: { readonly seed: Seed; readonly epoch: number; readonly first: number };
  readonly #closing = new AbortController();
  #iterator: Promise<AsyncIterator<R> | Iterator<R>> | undefined;
  #place: number;

  /** Opens nothing yet. */
  constructor(
    stream: ExampleStream<R>,
    request: { readonly seed: Seed; readonly epoch: number; readonly first: number },
  ) {
    this.#stream = stream;
    this.#request = request;
    this.#place = stream.seeks === true ? request.first : 0;
  }

  /** The number of the next record, from 0. */
  get place(): number {
    return this.#place;
  }

  /** The next record. */
  async next(): Promise<IteratorResult<R, unknown>> {
    const iterator = await (this.#iterator ??= this.#open());
    const given = iterator.next();
    const result = isPromise(given) ? await given : given;
    if (result.done !== true) this.#place++;
    return result;
  }

  /** Aborts what is being read, and closes the iterator. */
  async close(): Promise<void> {
    this.#closing.abort(new DOMException("The stream is read no more", "AbortError"));
    const iterator = await this.#iterator?.catch(() => undefined);
    await iterator?.return?.();
  }

  async #open(): Promise<AsyncIterator<R> | Iterator<R>> {
    const opened: Streamed<R> = await this.#stream.open({ ...this.#request, signal: this.#closing.signal });
    const given: Partial<AsyncIterable<R> & Iterable<R>> | null | undefined = opened;
    const iterator = given?.[Symbol.asyncIterator]?.() ?? given?.[Symbol.iterator]?.();
    if (iterator !== undefined) return iterator;
    throw new TypeError(`A stream of examples is an iterable or an async one, found ${kindOf(opened)}`);
  }
}
