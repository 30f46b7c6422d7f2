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

/** Lets the event loop run at intervals: call {@link Breather.breathe} between pieces of long work. */
export class Breather {
  #since = performance.now();

  async breathe(): Promise<void> {
    if (performance.now() - this.#since < HOLD_MS) return;
    await nextTurn();
    this.#since = performance.now();
  }
}
