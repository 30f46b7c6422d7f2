import { checkOptions, type OptionNames } from "../base/options/options.ts";
import { type Clock, systemClock } from "../base/clock.ts";

/** The signals that ask a process to end. */
export type InterruptSignal = "SIGINT" | "SIGTERM";

/** What a signal does to a training, beside ending it at the next step. */
export interface SignalOptions {
  /**
   * Milliseconds from the signal until its checkpoint has to be durable; 0 for no checkpoint. What is being
   * saved when they are over is given up, and nothing of it is left. As long as it takes unless given.
   */
  readonly graceMs?: number | undefined;
}

/** Every option of {@link SignalOptions}. */
export const SIGNAL_OPTIONS: OptionNames<SignalOptions> = { graceMs: true };

/** A process that tells of signals. */
export interface SignalHost {
  on(signal: string, listener: () => void): unknown;
  off(signal: string, listener: () => void): unknown;
}

/** Numbers of the signals: a process that one of them ended is expected to exit with 128 more. */
const NUMBERS: Readonly<Record<InterruptSignal, number>> = { SIGINT: 2, SIGTERM: 15 };
const SIGNALS: readonly InterruptSignal[] = ["SIGINT", "SIGTERM"];

/** What a shell and a supervisor take for "ended by that signal": 130 and 143. */
export function exitCodeOf(signal: InterruptSignal): number {
  return 128 + NUMBERS[signal];
}

/**
 * Listens for Ctrl-C and SIGTERM until one came or `stop` was called. The first is only remembered; a second
 * one ends the process as it does without a listener. Hears nothing where there is no process, as in a
 * browser.
 */
export class Interrupts {
  #received: InterruptSignal | undefined;
  readonly #listeners = new Map<InterruptSignal, () => void>();
  readonly #host: SignalHost | null;
  readonly #clock: Clock;
  readonly #graceMs: number | undefined;
  readonly #stopping = new AbortController();
  readonly #overdue = new AbortController();
  /** Ends the wait for the deadline. */
  readonly #stopped = new AbortController();

  /** @throws RangeError for a grace time that is no number from 0. */
  constructor(
    options: SignalOptions = {},
    host: SignalHost | null = (globalThis as { process?: SignalHost }).process ?? null,
    clock: Clock = systemClock,
  ) {
    const { graceMs } = checkOptions("handleSignals", options, SIGNAL_OPTIONS, "{ graceMs: 20_000 }");
    if (graceMs !== undefined && !(Number.isFinite(graceMs) && graceMs >= 0)) {
      throw new RangeError(`graceMs is a number of milliseconds from 0, found ${String(graceMs)}`);
    }
    this.#graceMs = graceMs;
    this.#host = host;
    this.#clock = clock;
    for (const signal of SIGNALS) {
      const listener = (): void => this.#receive(signal);
      this.#listeners.set(signal, listener);
      host?.on(signal, listener);
    }
  }

  /** What an option means: true for no deadline, false for not listening at all. */
  static of(option: boolean | SignalOptions = false): Interrupts | undefined {
    if (option === false) return undefined;
    return new Interrupts(option === true ? {} : option);
  }

  /** The signal that came first, if any came. */
  get received(): InterruptSignal | undefined {
    return this.#received;
  }

  /** Aborted when a signal comes: for work that can be done again, such as an evaluation. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Aborted when the grace time after a signal is over, with a `TimeoutError`. */
  get overdue(): AbortSignal {
    return this.#overdue.signal;
  }

  /** Stops listening, and waiting for the deadline. */
  stop(): void {
    this.#unlisten();
    this.#stopped.abort();
  }

  #receive(signal: InterruptSignal): void {
    this.#received ??= signal;
    // From here on a signal does what it does without us.
    this.#unlisten();
    void this.#giveUpLater(signal);
    this.#stopping.abort(new DOMException(`${signal} came`, "AbortError"));
  }

  async #giveUpLater(signal: InterruptSignal): Promise<void> {
    const graceMs = this.#graceMs;
    if (graceMs === undefined) return;
    if (graceMs > 0) await this.#clock.sleep(graceMs, this.#stopped.signal);
    if (this.#stopped.signal.aborted) return;
    this.#overdue.abort(
      new DOMException(`${signal} came and its grace time of ${graceMs} ms is over`, "TimeoutError"),
    );
  }

  #unlisten(): void {
    for (const [signal, listener] of this.#listeners) this.#host?.off(signal, listener);
    this.#listeners.clear();
  }
}
