import type { Clock } from "../../base/clock.ts";

/** The clock of the machine, for work beside the main work: the process does not stay alive for its sleeps. */
export const backgroundClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const end = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      (timer as { unref?: () => unknown }).unref?.();
      signal?.addEventListener("abort", end);
    }),
};
