import type { WorkProgress } from "../../base/work.ts";
import { ProgressRate } from "./progress_rate.ts";
import type { Callback, CallbackEvent, EndEvent } from "../callbacks/callback.ts";
import type { TextStream } from "./text_stream.ts";
import { describeCompiling, describeEnd, describeLine } from "./progress_text.ts";

/** Lines for a log file: one now and then, however fast steps and epochs are; each warning; and a summary. */
export class ProgressLines implements Callback {
  readonly name = "progress";
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

  onCompile(progress: WorkProgress): void {
    this.#ifDue(() => describeCompiling(progress));
  }

  onStart({ run }: CallbackEvent): void {
    this.#lastLine = this.#now();
    // One that goes on with another device is the same one to look at.
    this.#rate ??= new ProgressRate(this.#now(), run.progress);
  }

  onStep({ run }: CallbackEvent): void {
    const now = this.#now();
    this.#rate?.take(now, run.progress);
    this.#ifDue(() => describeLine(run.progress, this.#rate?.recent(now)));
  }

  onEpoch({ run }: CallbackEvent): void {
    this.#ifDue(() => describeLine(run.progress, this.#rate?.recent(this.#now())));
  }

  onWarning(message: string): void {
    this.#stream.write(`warning: ${message}\n`);
  }

  onEnd({ run, endedBy }: EndEvent): void {
    const rate = this.#rate;
    this.#rate = undefined;
    if (rate !== undefined) {
      this.#stream.write(`${describeEnd(run.progress, endedBy, rate.overall(this.#now()))}\n`);
    }
  }

  #ifDue(text: () => string): void {
    const now = this.#now();
    if (now - this.#lastLine < this.#intervalMs) return;
    this.#lastLine = now;
    this.#stream.write(`${text()}\n`);
  }
}
