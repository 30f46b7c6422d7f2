/** Seconds of training, those of the processes before included. */
export class Walltime {
  readonly #now: () => number;
  #seconds = 0;
  #start: number | undefined;

  /** @param now Milliseconds from any origin. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** A clock that was set back takes nothing away. */
  get seconds(): number {
    const running = this.#start === undefined ? 0 : (this.#now() - this.#start) / 1000;
    return this.#seconds + Math.max(0, running);
  }

  /** Goes on from there, running or not. */
  set(seconds: number): void {
    this.#seconds = seconds;
  }

  /** Starts the clock, or stops it. */
  run(isRunning: boolean): void {
    this.#seconds = this.seconds;
    this.#start = isRunning ? this.#now() : undefined;
  }
}
