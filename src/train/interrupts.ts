/** The signals that ask a process to end. */
export type InterruptSignal = "SIGINT" | "SIGTERM";

const SIGNALS: readonly InterruptSignal[] = ["SIGINT", "SIGTERM"];

interface SignalHost {
  on(signal: string, listener: () => void): unknown;
  off(signal: string, listener: () => void): unknown;
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

  constructor(host: SignalHost | null = (globalThis as { process?: SignalHost }).process ?? null) {
    this.#host = host;
    for (const signal of SIGNALS) {
      const listener = (): void => {
        this.#received ??= signal;
        this.stop();
      };
      this.#listeners.set(signal, listener);
      host?.on(signal, listener);
    }
  }

  /** The signal that came first, if any came. */
  get received(): InterruptSignal | undefined {
    return this.#received;
  }

  /** Stops listening. */
  stop(): void {
    for (const [signal, listener] of this.#listeners) this.#host?.off(signal, listener);
    this.#listeners.clear();
  }
}
