import type { TrainingProgress } from "../callbacks/training_progress.ts";

/** How fast a run is. */
export interface Pace {
  /** Time that it is of. */
  readonly seconds: number;
  /** Undefined where too little is known. */
  readonly stepsPerSecond: number | undefined;
  readonly examplesPerSecond: number | undefined;
}

interface Sample {
  readonly ms: number;
  readonly step: number;
  readonly examples: number;
}

/** Shorter spans say little. */
const LEAST_MS = 10_000;
/** Samples that a whole run has at most, about. */
const SAMPLES = 512;

/**
 * How fast a run is, all of its time taken together: steps, and what is measured and saved in between. The recent pace
 * is that of the later half of the run so far, so that a slow beginning is forgotten.
 */
export class ProgressRate {
  readonly #first: Sample;
  readonly #samples: Sample[];

  /** @param now Milliseconds from any origin. */
  constructor(now: number, progress: TrainingProgress) {
    this.#first = sampleOf(now, progress);
    this.#samples = [this.#first];
  }

  /** To be told of every step. */
  take(now: number, progress: TrainingProgress): void {
    const last = this.#samples.at(-1) ?? this.#first;
    const elapsed = now - this.#first.ms;
    // Always the newest one, and behind it those that are far enough from one another.
    const before = this.#samples.at(-2);
    if (before !== undefined && last.ms - before.ms < Math.max(100, elapsed / SAMPLES)) this.#samples.pop();
    this.#samples.push(sampleOf(now, progress));
    const begin = now - Math.max(LEAST_MS, elapsed / 2);
    // The one right before the span stays, so that it is whole.
    while ((this.#samples[1]?.ms ?? Infinity) <= begin) this.#samples.shift();
  }

  /** Of the later half of the run, or of its last 10 s. */
  recent(now: number): Pace {
    return this.#paceFrom(this.#samples[0] ?? this.#first, now);
  }

  /** Of the whole call. */
  overall(now: number): Pace {
    return this.#paceFrom(this.#first, now);
  }

  #paceFrom(from: Sample, now: number): Pace {
    const last = this.#samples.at(-1) ?? from;
    const seconds = Math.max(0, now - from.ms) / 1000;
    const isKnown = seconds > 0 && last.step > from.step;
    return {
      seconds,
      stepsPerSecond: isKnown ? (last.step - from.step) / seconds : undefined,
      examplesPerSecond: isKnown ? (last.examples - from.examples) / seconds : undefined,
    };
  }
}

function sampleOf(ms: number, { step, examples }: TrainingProgress): Sample {
  return { ms, step, examples };
}
