import type { OptionNames } from "./options/options.ts";

/** How far a long call is. Bytes, unless the call says otherwise. */
export interface WorkProgress {
  /** How much is done. */
  readonly done: number;
  /** How much there is in all. */
  readonly total: number;
}

/** Options of every long call: a way to stop it, and a listener for its progress. */
export interface Work {
  /** Stops the work, which then rejects with the signal's reason and leaves nothing behind. */
  readonly signal?: AbortSignal | undefined;
  /** Told after each piece of work, such as a chunk or a tensor. */
  readonly onProgress?: ((progress: WorkProgress) => void) | undefined;
}

/** Every option of {@link Work}. */
export const WORK_OPTIONS: OptionNames<Work> = { signal: true, onProgress: true };

/** Only these two, for work that is a part of this one. */
export function workOf({ signal, onProgress }: Work): Work {
  return { signal, onProgress };
}

/** How long a work that moves bytes took, and how fast it was. */
export interface Throughput {
  /** By a clock that nobody sets. */
  readonly seconds: number;
  /** 0 where there were none. */
  readonly bytesPerSecond: number;
}

/** Starts to measure; what it gives says how long it was until its call. */
export function startThroughput(): (byteLength: number) => Throughput {
  const startMs = performance.now();
  return (byteLength) => {
    const seconds = (performance.now() - startMs) / 1000;
    // A clock may be too coarse to see that something took time.
    return { seconds, bytesPerSecond: seconds > 0 ? byteLength / seconds : 0 };
  };
}
