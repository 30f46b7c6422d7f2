import { unlessAborted } from "../base/abort.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import {
  type Batch,
  type BatchReader,
  type BatchRequest,
  type BatchSource,
  evaluationBatches,
  type OrderKey,
} from "./batch_source.ts";

/** How long a source that is closed may go on with what it was asked for. */
const CLOSE_GRACE_MS = 5_000;

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
  readonly #clock: Clock;
  #reader: BatchReader | undefined;
  #asked: AskedBatch[] = [];
  /** The batch that was taken last. */
  #taken: Batch | undefined;
  /** What the reader was asked for and has not given yet. */
  #underWay = new Set<Promise<Batch>>();

  /**
   * @param requestAt The request at a place of the order; undefined where nothing comes any more, so that nothing is
   * asked for in vain.
   */
  constructor(
    source: BatchSource,
    requestAt: (place: number) => BatchRequest | undefined,
    clock: Clock = systemClock,
  ) {
    this.#source = source;
    this.#requestAt = requestAt;
    this.#clock = clock;
  }

  /**
   * The batch at `place`, which is that of `request`, and asks for those behind it. The one that was taken before is
   * not to be read any more. Throws `signal.reason` as soon as it is aborted, whatever the source does.
   */
  async take(place: number, request: BatchRequest, signal?: AbortSignal): Promise<Batch> {
    if (this.#taken !== undefined) this.#reader?.reuse?.(this.#taken);
    this.#taken = undefined;
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
    const batch = this.#asked.shift()?.batch ?? this.#ask(request);
    return this.#taken = await (signal === undefined ? batch : unlessAborted(batch, signal));
  }

  /**
   * Gives back what the source holds open. The next batch that is taken opens it again.
   *
   * @returns Whether the source has closed. It is left behind where it is still at a batch after five seconds, as one
   * that hangs.
   */
  async close(): Promise<boolean> {
    const [reader, underWay] = [this.#reader, this.#underWay];
    this.#reader = undefined;
    this.#asked = [];
    this.#taken = undefined;
    this.#underWay = new Set();
    if (reader === undefined) return true;
    const closed = reader.close().then(() => true);
    if (underWay.size === 0) return await closed;
    const sleeping = new AbortController();
    const late = this.#clock.sleep(CLOSE_GRACE_MS, sleeping.signal).then(() => false);
    // Nobody waits any more for what fails after that.
    closed.catch(() => undefined);
    try {
      return await Promise.race([closed, late]);
    } finally {
      sleeping.abort();
    }
  }

  #ask(request: BatchRequest): Promise<Batch> {
    this.#reader ??= this.#source.openReader?.() ?? readerOf(this.#source);
    const reader = this.#reader;
    const batch = (async () => await reader.batchAt(request))();
    // Whoever takes it gets the error; nobody takes those behind the last step.
    const underWay = this.#underWay.add(batch);
    batch.catch(() => undefined).finally(() => underWay.delete(batch));
    return batch;
  }
}

/**
 * Does `work` with all batches of epoch 0 one after the other, and gives back what the source holds open. A batch that
 * is waited for when `signal` is aborted fails with its reason.
 */
export async function withFeed<T>(
  source: BatchSource,
  key: OrderKey,
  work: (from: Pick<BatchReader, "batchAt">) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const batches = evaluationBatches(source);
  const feed = new BatchFeed(
    source,
    (position) => position < batches ? { ...key, epoch: 0, position } : undefined,
  );
  let isDone = false;
  try {
    const result = await work({ batchAt: (request) => feed.take(request.position, request, signal) });
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
