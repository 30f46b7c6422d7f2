import type { Batch } from "./batch_source.ts";
import { BatchRows, type ExampleSpecs } from "./example.ts";

/**
 * Memory of the batches of one reader. What is given back is filled again: memory that nobody needs any more is freed
 * by the runtime whenever it likes, and of a set that is larger than memory hundreds of batches wait for that.
 */
export class BatchMemory {
  readonly #specs: ExampleSpecs;
  readonly #lent = new WeakMap<Batch, BatchRows>();
  #free: BatchRows[] = [];

  constructor(specs: ExampleSpecs) {
    this.#specs = specs;
  }

  /** Rows for `size` examples, each of which has to be set. */
  take(size: number): BatchRows {
    const at = this.#free.findIndex((rows) => rows.size === size);
    return this.#free.splice(at, at < 0 ? 0 : 1)[0] ?? new BatchRows(this.#specs, size);
  }

  /** The batch that `rows` are, until it is given back. */
  lend(rows: BatchRows): Batch {
    const batch = rows.toBatch();
    this.#lent.set(batch, rows);
    return batch;
  }

  /** Takes back a batch that nobody reads any more. */
  reuse(batch: Batch): void {
    const rows = this.#lent.get(batch);
    this.#lent.delete(batch);
    // The last batch of an epoch may have another size: of that one is enough.
    if (rows !== undefined) this.#free = [...this.#free.filter(({ size }) => size === rows.size), rows];
  }
}
