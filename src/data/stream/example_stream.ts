import type { Description } from "../../base/description.ts";
import type { Example } from "../example.ts";
import type { Seed } from "../seed.ts";

/** Which part of a stream is wanted. */
export interface StreamRequest {
  /** The epoch, from 0. */
  readonly epoch: number;
  /** Of the run, for a stream that orders its examples by itself. */
  readonly seed: Seed;
  /** The example that comes first, from 0. One that does not `seek` begins with example 0 whatever this says. */
  readonly first: number;
  /** Aborted when the stream is read no more; its iterator is then closed, too. */
  readonly signal: AbortSignal;
}

/** Examples, or records that a `transform` makes some of, one after the other. */
export type Streamed<R> = AsyncIterable<R> | Iterable<R>;

/** Examples that can only be read one after the other. The same epoch always gives the same ones. */
export interface ExampleStream<R = Example> {
  /** Opens it anew. */
  open(request: StreamRequest): Streamed<R> | Promise<Streamed<R>>;
  /** Whether it begins with `request.first`. Default false: what is before is read, and not made examples of. */
  readonly seeks?: boolean | undefined;
  /** Examples in an epoch, where it knows that. */
  readonly exampleCount?: number | undefined;
  /** What the examples are, such as a checksum; a resumed run compares it. */
  describe?(): Description | Promise<Description>;
}
