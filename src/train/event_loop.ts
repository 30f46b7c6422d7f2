/**
 * Lets timers, files and GPU callbacks have a turn. A training loop never waits for the GPU, so that without
 * this a save in the background would not move until its end.
 */
export function yieldToEventLoop(): Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown };
  if (typeof setImmediate === "function") return new Promise((resolve) => setImmediate(resolve));
  // Browsers hold setTimeout back to 4 ms; a message is not held back.
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
