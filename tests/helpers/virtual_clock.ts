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

  /**
   * Lets time pass until `work` is done. Throws when it waits for something else than this clock.
   *
   * @param least How many have to sleep before time passes. Turns do not tell when a thread of the system is done, such
   * as the one that makes a digest: where some of `work` waits for one, all that will sleep are to be counted here.
   */
  async run<T>(work: Promise<T>, least = 1): Promise<T> {
    let isDone = false;
    const done = (): void => void (isDone = true);
    work.then(done, done);
    for (let turns = 0;; turns++) {
      for (let turn = 0; turn < QUIET_TURNS && !isDone; turn++) await nextTurn();
      if (isDone) return await work;
      const next = this.#timers.reduce<Timer | undefined>(
        (first, timer) => first === undefined || timer.at < first.at ? timer : first,
        undefined,
      );
      if (next === undefined || this.sleepers < least) {
        if (turns > MOST_TURNS) throw new Error("Nobody sleeps, and yet the work is not done");
        continue;
      }
      turns = 0;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#elapsedMs = next.at;
      next.wake();
    }
  }
}
