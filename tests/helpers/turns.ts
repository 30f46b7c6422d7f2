import type { Clock } from "../../src/base/clock.ts";
import { nextTurn } from "../../src/base/event_loop.ts";

/** Far more than any test waits for. It is there so that one that would wait for ever ends, and says where. */
const MOST_TURNS = 1_000_000;

/** Waits until `condition` holds, turn by turn of the event loop: however slow the machine is. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; !await condition(); turn++) {
    if (turn > MOST_TURNS) throw new Error("What is waited for never happens");
    await nextTurn();
  }
}

/** Lets so many turns of the event loop pass. */
export async function letTurnsPass(count = 50): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn();
}

/** How many turns of the event loop others get while `work` is under way. */
export async function turnsDuring(work: () => Promise<void>): Promise<number> {
  let turns = 0;
  let isOver = false;
  const counted = (async () => {
    for (; !isOver; turns++) await nextTurn();
  })();
  try {
    await work();
  } finally {
    isOver = true;
  }
  await counted;
  return turns;
}

/**
 * A clock for code that polls until its time is up: each sleep is a turn of the event loop, and counts as long as was
 * asked for, at least a millisecond. So a time is a number of polls, the same on every machine.
 */
export class LookClock implements Clock {
  readonly #startMs = Date.now();
  #passedMs = 0;

  now(): number {
    return this.#startMs + this.#passedMs;
  }

  async sleep(ms: number): Promise<void> {
    await nextTurn();
    this.#passedMs += Math.max(1, ms);
  }
}
