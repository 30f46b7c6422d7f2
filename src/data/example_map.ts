import type { Named } from "../base/parts/named.ts";
import type { Description } from "../base/description.ts";
import type { Batch, ExampleSpec } from "./batch_source.ts";
import type { Example } from "./example.ts";

/** What a map is read with. */
export interface ReadContext {
  /** Aborted when what is read is needed no more: the training has ended, failed or was stopped. */
  readonly signal: AbortSignal;
}

/**
 * Examples that are read by their number, wherever they are: one file each, rows of a large one, a database. Only those
 * of a few batches are in memory at a time.
 */
export interface ExampleMap<R = Example> {
  /** How many there are. */
  readonly length: number;
  /**
   * The example `index`, from 0: `{ inputs, labels }`, or what the loader's `transform` makes one of. Several may be
   * asked for at a time, in any order; the same index always gives the same.
   */
  get(index: number, context: ReadContext): R | Promise<R>;
  /**
   * Several at once, one after the other, where that is faster than one by one. Asked for where there is no
   * `transform`.
   */
  getBatch?(indices: readonly number[], context: ReadContext): Batch | Promise<Batch>;
  /** What one example of the inputs is. Default: what the first example says. */
  readonly inputs?: Named<ExampleSpec> | undefined;
  /** What the label of one example is. Default: what the first example says. */
  readonly labels?: Named<ExampleSpec> | undefined;
  /** What the examples are, such as a checksum; a resumed run compares it. */
  describe?(): Description | Promise<Description>;
}
