/** How long work may hold the event loop: about one chunk, so that a training step waits no longer. */
const HOLD_MS = 0.25;

/**
 * Resolves in a later turn of the event loop, so that timers, files and GPU callbacks get theirs. A resolved promise
 * would not do: a training loop that never waits for anything else would starve a save in the background until its
 * end.
 */
export function nextTurn(): Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown };
  if (typeof setImmediate === "function") return new Promise((resolve) => setImmediate(resolve));
  // Browsers delay setTimeout by 4 ms, and a message not at all.
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}

/** How many want the thread again in the next turn. */
let wanting = 0;

/**
 * Whether somebody has work for this thread as soon as the event loop has had its turn, so that it is not to be held up
 * by a pause.
 */
export function isThreadWanted(): boolean {
  return wanting > 0;
}

/** Lets the event loop run at intervals: call {@link Breather.breathe} between pieces of long work. */
export class Breather {
  readonly #isWanted: boolean;
  #since = performance.now();

  /** @param isWanted Whether others wait for this work, so that nobody is to pause the thread meanwhile. */
  constructor({ isWanted = false }: { readonly isWanted?: boolean } = {}) {
    this.#isWanted = isWanted;
  }

  /** The time until now does not count: it was waited, so that the event loop had its turns. */
  restart(): void {
    this.#since = performance.now();
  }

  async breathe(): Promise<void> {
    if (performance.now() - this.#since < HOLD_MS) return;
    if (this.#isWanted) wanting += 1;
    await nextTurn();
    if (this.#isWanted) wanting -= 1;
    this.#since = performance.now();
  }
}
