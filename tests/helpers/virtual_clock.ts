import type { Clock } from "../../src/base/clock.ts";
import { nextTurn } from "../../src/base/event_loop.ts";

interface Timer {
  readonly at: number;
  readonly wake: () => void;
}

/** Turns of the event loop after which only work that waits for this clock is left. */
const QUIET_TURNS = 4;
const MOST_TURNS = 1_000_000;

/** A clock on which several may sleep at once: time passes when all of them do, up to the first that wakes. */
export class VirtualClock implements Clock {
  /** What {@link now} adds to the time that passed, as when somebody sets the clock. */
  offsetMs = 0;
  #timers: Timer[] = [];
  #elapsedMs = 0;

  /** Milliseconds that passed since the beginning, whatever the clock was set to. */
  get elapsedMs(): number {
    return this.#elapsedMs;
  }

  /** How many sleep now. */
  get sleepers(): number {
    return this.#timers.length;
  }

  now(): number {
    return this.#elapsedMs + this.offsetMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const timer = { at: this.#elapsedMs + ms, wake: resolve };
      this.#timers.push(timer);
      signal?.addEventListener("abort", () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
        resolve();
      });
    });
  }

  /** Lets time pass until `work` is done. Throws when it waits for something else than this clock. */
  async run<T>(work: Promise<T>): Promise<T> {
    await this.settled([work]);
    return await work;
  }

  /**
   * What becomes of each of `works`, which go on beside each other: time passes when as many sleep as are not done. So
   * it waits for one that waits for a thread of the system, such as the one that makes a digest, which turns of the
   * event loop do not tell.
   */
  async settled<T>(works: readonly Promise<T>[]): Promise<PromiseSettledResult<T>[]> {
    let left = works.length;
    const done = (): void => void left--;
    for (const work of works) work.then(done, done);
    for (let turns = 0; left > 0; turns++) {
      for (let turn = 0; turn < QUIET_TURNS && left > 0; turn++) await nextTurn();
      if (left > 0 && this.sleepers >= left) {
        this.#wakeFirst();
        turns = 0;
      } else if (turns > MOST_TURNS) throw new Error(`${this.sleepers} sleep, and ${left} are not done`);
    }
    return await Promise.allSettled(works);
  }

  #wakeFirst(): void {
    const first = this.#timers.reduce((one, other) => other.at < one.at ? other : one);
    this.#timers = this.#timers.filter((timer) => timer !== first);
    this.#elapsedMs = first.at;
    first.wake();
  }
}
