import type { WorkProgress } from "../../base/work.ts";
import { ProgressRate } from "./progress_rate.ts";
import type { ProgressReporter, TextStream, TrainingProgress } from "./training_progress.ts";
import { describeCompiling, describeEnd, describeLine } from "./progress_text.ts";

/** Lines for a log file: one now and then, however fast steps and epochs are; each warning; and a summary. */
export class LineReporter implements ProgressReporter {
  readonly #stream: TextStream;
  readonly #intervalMs: number;
  readonly #now: () => number;
  #lastLine = -Infinity;
  #rate: ProgressRate | undefined;

  constructor(stream: TextStream, intervalMs: number, now: () => number) {
    this.#stream = stream;
    this.#intervalMs = intervalMs;
    this.#now = now;
  }

  compile(progress: WorkProgress): void {
    this.#ifDue(() => describeCompiling(progress));
  }

  start(progress: TrainingProgress): void {
    this.#lastLine = this.#now();
    this.#rate = new ProgressRate(this.#now(), progress);
  }

  step(progress: TrainingProgress): void {
    const now = this.#now();
    this.#rate?.take(now, progress);
    this.#ifDue(() => describeLine(progress, this.#rate?.recent(now)));
  }

  epoch(progress: TrainingProgress): void {
    this.#ifDue(() => describeLine(progress, this.#rate?.recent(this.#now())));
  }

  warning(message: string): void {
    this.#stream.write(`warning: ${message}\n`);
  }

  stop(progress: TrainingProgress, how: string): void {
    const rate = this.#rate;
    this.#rate = undefined;
    if (rate !== undefined) this.#stream.write(`${describeEnd(progress, how, rate.overall(this.#now()))}\n`);
  }

  #ifDue(text: () => string): void {
    const now = this.#now();
    if (now - this.#lastLine < this.#intervalMs) return;
    this.#lastLine = now;
    this.#stream.write(`${text()}\n`);
  }
}
