import { isThreadWanted, nextTurn } from "../base/event_loop.ts";

/** Milliseconds of a pause: many in the time of a training step, and few beside what holds an event loop up. */
const PAUSE_MS = 0.5;

/** Turns of the event loop in which a wait that is short may end without a pause. */
const TURNS_BEFORE = 2;

/**
 * Pauses the thread now and then while it waits for the GPU.
 *
 * While a promise of its is pending, Dawn polls in every turn of the event loop, which takes a whole processor core. An
 * adapter that is a processor computes on that core otherwise. So the thread sleeps for a moment in each turn in which
 * nobody has work for it; what begins meanwhile is held up by as much.
 */
export class PollingPauses {
  readonly #cell = new Int32Array(new SharedArrayBuffer(4));
  #waits = 0;
  #isRunning = false;

  /** `work`, with pauses until it is settled. */
  async during<T>(work: Promise<T>): Promise<T> {
    this.#waits += 1;
    if (!this.#isRunning) void this.#run();
    try {
      return await work;
    } finally {
      this.#waits -= 1;
    }
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    for (let turn = 0; this.#waits > 0; turn++) {
      if (turn >= TURNS_BEFORE && !isThreadWanted()) Atomics.wait(this.#cell, 0, 0, PAUSE_MS);
      await nextTurn();
    }
    this.#isRunning = false;
  }
}
