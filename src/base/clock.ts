/** Time, for whatever waits: a test passes one of its own. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Resolves after so many milliseconds, or at once when `signal` is aborted. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The clock of the machine. */
export const systemClock: Clock = machineClock((timer) => timer);

/** The clock of the machine, for work beside the main work: the process does not stay alive for its sleeps. */
export const backgroundClock: Clock = machineClock((timer) => (timer as { unref?: () => unknown }).unref?.());

/** @param started What to do with the timer of a sleep. */
function machineClock(started: (timer: ReturnType<typeof setTimeout>) => unknown): Clock {
  return {
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
        started(timer);
        signal?.addEventListener("abort", end);
      }),
  };
}
