import type { WorkProgress } from "../../base/work.ts";
import { ProgressRate } from "./progress_rate.ts";
import type { Callback, CallbackEvent, EndEvent } from "../callbacks/callback.ts";
import type { TrainingProgress } from "../callbacks/training_progress.ts";
import type { TextStream } from "./text_stream.ts";
import { describeCompiling, describeEnd, drawBar } from "./progress_text.ts";

/** To the line's beginning, and nothing behind it. */
const CLEAR_LINE = "\r\x1b[K";
/** A person reads no faster. */
const REDRAW_MS = 100;
const DEFAULT_COLUMNS = 80;

/**
 * One line of a terminal that is drawn over and over, for the whole run. Warnings are whole lines above it; at the end
 * a summary takes its place. The cursor is left as it is, so that a process that is killed leaves nothing odd.
 */
export class ProgressBar implements Callback {
  readonly name = "progress";
  readonly #stream: TextStream;
  readonly #now: () => number;
  #rate: ProgressRate | undefined;
  /** What the line has now; empty where there is none. */
  #shown = "";
  #drawnAt = -Infinity;

  constructor(stream: TextStream, now: () => number) {
    this.#stream = stream;
    this.#now = now;
  }

  onCompile(progress: WorkProgress): void {
    this.#show(progress.done < progress.total ? describeCompiling(progress) : "");
  }

  onStart({ run: { progress } }: CallbackEvent): void {
    // One that goes on with another device is the same one to look at.
    this.#rate ??= new ProgressRate(this.#now(), progress);
    this.#draw(progress);
  }

  onStep({ run }: CallbackEvent): void {
    const now = this.#now();
    this.#rate?.take(now, run.progress);
    if (now - this.#drawnAt >= REDRAW_MS) this.#draw(run.progress);
  }

  onEpoch({ run }: CallbackEvent): void {
    this.#draw(run.progress);
  }

  onSaving({ run }: CallbackEvent): void {
    this.#draw(run.progress);
  }

  onSave({ run }: CallbackEvent): void {
    this.#draw(run.progress);
  }

  onWarning(message: string): void {
    const line = this.#shown;
    this.#shown = "";
    this.#stream.write(`${line === "" ? "" : CLEAR_LINE}warning: ${message}\n`);
    this.#show(line);
  }

  onEnd({ run, endedBy }: EndEvent): void {
    // Without a rate the run failed before its first step, and whoever called says why.
    this.#show("");
    const rate = this.#rate;
    this.#rate = undefined;
    if (rate !== undefined) {
      this.#stream.write(`${describeEnd(run.progress, endedBy, rate.overall(this.#now()))}\n`);
    }
  }

  #draw(progress: TrainingProgress): void {
    if (this.#rate === undefined) return;
    const now = this.#now();
    this.#drawnAt = now;
    // A character in the last column would move the cursor to the next line in some terminals.
    const columns = (this.#stream.columns ?? DEFAULT_COLUMNS) - 1;
    this.#show(drawBar(progress, this.#rate.recent(now), columns));
  }

  #show(line: string): void {
    if (line === this.#shown) return;
    this.#shown = line;
    this.#stream.write(`${CLEAR_LINE}${line}`);
  }
}
