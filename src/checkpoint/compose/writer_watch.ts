import type { Clock } from "../../base/clock.ts";
import { CairnError } from "../../base/errors.ts";

/** How long to wait for a background writer, and how to check it meanwhile. */
export interface WatchOptions {
  /** After this the wait ends with an error, but not the work. */
  readonly timeoutMs: number;
  /** How often it is asked whether the writer lives. */
  readonly livenessIntervalMs: number;
  readonly isWriterAlive: () => boolean | Promise<boolean>;
  readonly clock: Clock;
  /** Looked at when the time is over. */
  readonly progress: () => WriterProgress;
}

/** How far a background save is. */
export interface WriterProgress {
  /** Raw bytes. */
  readonly done: number;
  readonly total: number;
  /** When `done` last grew, in milliseconds since 1970. */
  readonly lastMs: number;
}

/** The writer is not there any more; what it was doing will never be done. */
export class WriterDied extends CairnError {
  constructor(what: string) {
    super(
      "commit_failed",
      `Cannot ${what}: the writer died; what was not committed is lost, nothing older was touched. Open a new engine and save again`,
      { details: { op: "commit" } },
    );
  }
}

/**
 * Waits for background work. A writer that died is told from one that is slow: the first ends with {@link WriterDied}
 * at the next look, the second with an error that says how far it is, and the work goes on.
 *
 * @param what For messages: `commit "step-100"`.
 */
export async function watch<T>(work: Promise<T>, what: string, options: WatchOptions): Promise<T> {
  const { timeoutMs, livenessIntervalMs, isWriterAlive, clock } = options;
  const end = new AbortController();
  const over = (): void => end.abort();
  work.then(over, over);
  const startMs = clock.now();
  for (;;) {
    const leftMs = startMs + timeoutMs - clock.now();
    await clock.sleep(Math.min(leftMs, livenessIntervalMs), end.signal);
    if (end.signal.aborted) return await work;
    if (!await isWriterAlive()) throw new WriterDied(what);
    if (clock.now() - startMs >= timeoutMs) throw tooSlow(what, options);
  }
}

function tooSlow(what: string, { timeoutMs, clock, progress }: WatchOptions): CairnError {
  const { done, total, lastMs } = progress();
  const ageMs = clock.now() - lastMs;
  const message =
    `Cannot ${what} within ${timeoutMs} ms: the writer is alive and wrote ${done} of ${total} bytes, ` +
    `the last of them ${ageMs} ms ago; commit again to go on waiting, or abort`;
  return new CairnError("commit_failed", message, { details: { op: "commit", limit: timeoutMs } });
}
