import type { Clock } from "../../src/base/clock.ts";

/** A clock whose sleeps take no time: each moves it on, after the test has done what happens meanwhile. */
export class SteppingClock implements Clock {
  nowMs: number;
  /** How long each sleep was. */
  readonly sleeps: number[] = [];
  /** What happens during a sleep, by the number of the sleep from 1. */
  readonly #during: (sleep: number) => unknown;

  constructor(during: (sleep: number) => unknown = () => {}, nowMs = 0) {
    this.#during = during;
    this.nowMs = nowMs;
  }

  now(): number {
    return this.nowMs;
  }

  async sleep(ms: number): Promise<void> {
    const number = this.sleeps.push(ms);
    if (number > 10_000) throw new Error("The code under test sleeps again and again, without end");
    await this.#during(number);
    this.nowMs += ms;
  }
}
