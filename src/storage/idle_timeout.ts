import type { Clock } from "../base/clock.ts";

/** The longest that a timer can be set to; a longer one would ring at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** Aborts {@link signal} when nothing was heard for a while. Give it up with {@link end}. */
export class IdleTimeout {
  readonly #expired = new AbortController();
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #reasonOf: () => Error;
  #waiting: AbortController | undefined;

  /** @param reasonOf Makes the error that the signal is aborted with. */
  constructor(timeoutMs: number, clock: Clock, reasonOf: () => Error) {
    this.#timeoutMs = Math.min(timeoutMs, LONGEST_MS);
    this.#clock = clock;
    this.#reasonOf = reasonOf;
    this.heard();
  }

  get signal(): AbortSignal {
    return this.#expired.signal;
  }

  /** Starts to wait anew. */
  heard(): void {
    this.#waiting?.abort();
    const waiting = new AbortController();
    this.#waiting = waiting;
    void this.#clock.sleep(this.#timeoutMs, waiting.signal).then(() => {
      if (!waiting.signal.aborted) this.#expired.abort(this.#reasonOf());
    });
  }

  end(): void {
    this.#waiting?.abort();
  }
}
