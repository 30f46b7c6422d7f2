import type {
  Callback,
  CallbackEvent,
  CallbackRun,
  EndEvent,
  EpochEvent,
  LossesEvent,
  SaveEvent,
  StartEvent,
} from "../callbacks/callback.ts";
import type { LogEntry } from "./log_entry.ts";
import { measuredEntry, stepEntries } from "./run_entries.ts";

/** Where the entries of a log go. */
export interface LogSink {
  /** For people. */
  readonly path: string;
  /**
   * Opens it and makes it what the run is: what the run will do again goes, what is missing comes from its history.
   *
   * @returns Steps whose losses it has then.
   */
  open(run: CallbackRun): Promise<number>;
  /** Writes them behind all else. */
  write(entries: readonly LogEntry[], run: CallbackRun): Promise<void>;
  /** Makes it durable and closes it. */
  close(): Promise<void>;
}

/**
 * Writes down what happens in a run. What cannot be written ends no training: there is a warning, nothing is written
 * until the next one begins, and then the history fills the hole.
 */
export class RunLog implements Callback {
  readonly name: string;
  readonly #sink: LogSink;
  readonly #nowMs: () => number;
  /** Steps whose losses are in it. */
  #logged = 0;
  #isOpen = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(name: string, sink: LogSink, nowMs: () => number) {
    this.name = name;
    this.#sink = sink;
    this.#nowMs = nowMs;
  }

  async onStart({ run, resumedFrom = "" }: StartEvent): Promise<void> {
    // It may be open where a training goes on with another device.
    await this.#close();
    this.#logged = await this.#sink.open(run);
    this.#isOpen = true;
    const { totalSteps, totalEpochs } = run.progress;
    const start = { kind: "start", step: run.step, resumedFrom, totalSteps, totalEpochs } as const;
    await this.#sink.write([{ ...start, timeMs: this.#nowMs() }], run);
  }

  async onLosses(event: LossesEvent): Promise<void> {
    const to = event.step + event.losses.length;
    const from = Math.max(event.step, this.#logged);
    if (to <= from) return;
    this.#logged = to;
    await this.#write(event, () => stepEntries(event.run, from, to));
  }

  async onEpoch(event: EpochEvent): Promise<void> {
    await this.#write(event, () => [measuredEntry("epoch", event)]);
  }

  async onValidation(event: EpochEvent): Promise<void> {
    await this.#write(event, () => [measuredEntry("validation", event)]);
  }

  async onSave(event: SaveEvent): Promise<void> {
    const { step, tag, stallMs, durationMs, report } = event;
    const entry = { kind: "save", step, tag, stallMs, durationMs, bytes: report.written.fileBytes } as const;
    await this.#write(event, () => [{ ...entry, timeMs: this.#nowMs() }]);
  }

  async onEnd(event: EndEvent): Promise<void> {
    const { run: { step }, endedBy } = event;
    await this.#write(event, () => [{ kind: "end", step, endedBy, timeMs: this.#nowMs() }]);
    await this.#guarded(event, () => this.#close());
  }

  async #close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#sink.close();
  }

  /** One after the other, as a save is told of at any moment. */
  async #write(event: CallbackEvent, entriesOf: () => readonly LogEntry[]): Promise<void> {
    const before = this.#writing;
    this.#writing = before.then(() =>
      this.#guarded(event, async () => {
        if (this.#isOpen) await this.#sink.write(entriesOf(), event.run);
      })
    );
    await this.#writing;
  }

  async #guarded({ warn }: CallbackEvent, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#isOpen = false;
      await this.#sink.close().catch(() => undefined);
      const reason = error instanceof Error ? error.message : String(error);
      warn(`"${this.#sink.path}" is not written any more: ${reason}. The next training completes it`);
    }
  }
}
