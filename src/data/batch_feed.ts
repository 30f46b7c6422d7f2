import {
  type Batch,
  type BatchReader,
  type BatchRequest,
  type BatchSource,
  evaluationBatches,
  type OrderKey,
} from "./batch_source.ts";

/** A batch that was asked for. */
interface AskedBatch {
  readonly request: BatchRequest;
  readonly batch: Promise<Batch>;
}

/**
 * The batches of a source in the order of a training or an evaluation, of which `source.prefetch` are asked for ahead
 * of the one that is needed. No more than those are ever in memory: the next one is asked for when one is taken.
 */
export class BatchFeed {
  readonly #source: BatchSource;
  readonly #requestAt: (place: number) => BatchRequest | undefined;
  #reader: BatchReader | undefined;
  #asked: AskedBatch[] = [];

  /**
   * @param requestAt The request at a place of the order; undefined where nothing comes any more, so that nothing is
   * asked for in vain.
   */
  constructor(source: BatchSource, requestAt: (place: number) => BatchRequest | undefined) {
    this.#source = source;
    this.#requestAt = requestAt;
  }

  /** The batch at `place`, which is that of `request`, and asks for those behind it. */
  async take(place: number, request: BatchRequest): Promise<Batch> {
    const [first] = this.#asked;
    // A run that was restored, or goes back, is somewhere else.
    if (first !== undefined && !isSame(first.request, request)) this.#asked = [];
    const { prefetch = 0 } = this.#source;
    while (this.#asked.length <= prefetch) {
      const ahead = this.#asked.length;
      const next = ahead === 0 ? request : this.#requestAt(place + ahead);
      if (next === undefined) break;
      this.#asked.push({ request: next, batch: this.#ask(next) });
    }
    const taken = this.#asked.shift();
    return await (taken?.batch ?? this.#ask(request));
  }

  /** Gives back what the source holds open. The next batch that is taken opens it again. */
  async close(): Promise<void> {
    const reader = this.#reader;
    this.#reader = undefined;
    this.#asked = [];
    await reader?.close();
  }

  #ask(request: BatchRequest): Promise<Batch> {
    this.#reader ??= this.#source.openReader?.() ?? readerOf(this.#source);
    const reader = this.#reader;
    const batch = (async () => await reader.batchAt(request))();
    // Whoever takes it gets the error; nobody takes those behind the last step.
    batch.catch(() => undefined);
    return batch;
  }
}

/** Does `work` with all batches of epoch 0 one after the other, and gives back what the source holds open. */
export async function withFeed<T>(
  source: BatchSource,
  key: OrderKey,
  work: (from: Pick<BatchReader, "batchAt">) => Promise<T>,
): Promise<T> {
  const batches = evaluationBatches(source);
  const feed = new BatchFeed(
    source,
    (position) => position < batches ? { ...key, epoch: 0, position } : undefined,
  );
  let isDone = false;
  try {
    const result = await work({ batchAt: (request) => feed.take(request.position, request) });
    isDone = true;
    return result;
  } finally {
    // After an error, what goes wrong now would hide it.
    await feed.close().catch((error: unknown) => {
      if (isDone) throw error;
    });
  }
}

function readerOf(source: BatchSource): BatchReader {
  return { batchAt: (request) => source.batchAt(request), close: () => Promise.resolve() };
}

function isSame(a: BatchRequest, b: BatchRequest): boolean {
  return a.position === b.position && a.epoch === b.epoch && a.seed === b.seed &&
    a.orderVersion === b.orderVersion;
}
