const INTERVAL_MS = 1;

/**
 * How long the event loop was held, while `work` was under way: a timer of 1 ms is started again and again, and each
 * sample is how much later than that it came. A loop that nothing holds gives samples near 0.
 */
export async function eventLoopBlocks(work: () => Promise<unknown>): Promise<number[]> {
  const samples: number[] = [];
  let since = performance.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tick = (): void => {
    const now = performance.now();
    samples.push(Math.max(0, now - since - INTERVAL_MS));
    since = performance.now();
    timer = setTimeout(tick, INTERVAL_MS);
  };
  timer = setTimeout(tick, INTERVAL_MS);
  try {
    await work();
  } finally {
    clearTimeout(timer);
  }
  // A block that lasts to the end counts as well.
  samples.push(Math.max(0, performance.now() - since - INTERVAL_MS));
  return samples;
}
