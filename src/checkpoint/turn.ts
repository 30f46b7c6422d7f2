/** How long work may hold the event loop: half a frame, so that a progress bar or a server stays alive. */
const HOLD_MS = 8;

/** Resolves in a later turn of the event loop, so that timers and I/O get theirs. A resolved promise would not do. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    const { setImmediate } = globalThis as { setImmediate?: (work: () => void) => void };
    // setTimeout waits at least a millisecond, and four in browsers.
    if (setImmediate !== undefined) setImmediate(resolve);
    else setTimeout(resolve, 0);
  });
}

/** Gives the event loop air at intervals: call {@link Breather.breathe} between pieces of long work. */
export class Breather {
  #since = performance.now();

  async breathe(): Promise<void> {
    if (performance.now() - this.#since < HOLD_MS) return;
    await nextTurn();
    this.#since = performance.now();
  }
}
