import type { SaveReport } from "../../src/checkpoint/pending_snapshot.ts";
import { medianOf, quantile } from "./figures.ts";
import type { RowContext } from "./rows.ts";
import { MODES, Saver } from "./saver.ts";
import { median } from "../interleaved.ts";

const INTERVAL_MS = 1;
/** Each gives hundreds of samples. */
const SAVES = 3;

/** Row 7: how long the event loop is held while a save is under way. */
export async function benchEventLoop(context: RowContext): Promise<void> {
  const { state, figures, directory, rounds } = context;
  const { gpu } = state.store;
  const idle = await eventLoopBlocks(() => new Promise((resolve) => setTimeout(resolve, 500)));
  const fences: number[] = [];
  for (let round = 0; round < 9; round++) {
    const start = performance.now();
    gpu.device.queue.submit([]);
    await gpu.device.queue.onSubmittedWorkDone();
    fences.push(performance.now() - start);
  }
  const fence = median(fences);
  console.log(
    `  event loop with no save: held ${quantile(idle, 0.99).toFixed(2)} ms at p99; fence ${
      fence.toFixed(2)
    } ms`,
  );
  const limit = gpu.hasBlockingFences ? `<= ${fence.toPrecision(4)}` : "<= 2";
  for (const mode of MODES) {
    const saver = new Saver(state, directory, mode);
    const samples: number[][] = [];
    for (let round = 0; round <= Math.min(SAVES, rounds); round++) {
      state.mark();
      let report: SaveReport | undefined;
      const pending = await saver.begin();
      samples.push(await eventLoopBlocks(async () => report = await pending.wait()));
      if (report !== undefined) await saver.check(report);
    }
    await saver.close();
    const counted = samples.slice(1);
    const all = counted.flat();
    const { spread } = medianOf(counted.map((one) => quantile(one, 0.99)));
    console.log(
      `  event loop, save by ${mode}: held ${quantile(all, 0.5).toFixed(2)} ms at the median, ` +
        `${Math.max(...all).toFixed(1)} ms at most, ${all.length} samples`,
    );
    figures.add(`row 7, event loop held during a save by ${mode}, ms at p99`, {
      measured: quantile(all, 0.99),
      spread,
    }, limit);
  }
}

/**
 * How long the event loop was held, while `work` was under way: a timer of 1 ms is started again and again, and each
 * sample is how much later than that it came. A loop that nothing holds gives samples near 0.
 */
async function eventLoopBlocks(work: () => Promise<unknown>): Promise<number[]> {
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
  // What held the loop to the very end is no less a block.
  samples.push(Math.max(0, performance.now() - since - INTERVAL_MS));
  return samples;
}
