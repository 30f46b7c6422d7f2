/** Lets a number of things be under way at a time; the others wait in the order in which they came. */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /**
   * @param name Of the option that says how many, for messages.
   * @throws RangeError unless `count` is an integer from 1.
   */
  constructor(name: string, count: number) {
    if (!Number.isSafeInteger(count) || count < 1) {
      throw new RangeError(`${name} is an integer from 1, found ${count}`);
    }
    this.#free = count;
  }

  /** Resolves when there is one, which is then taken. @returns Whether it had to be waited for. */
  async take(): Promise<boolean> {
    if (this.#free > 0) {
      this.#free--;
      return false;
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return true;
  }

  /** Gives one back. */
  give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
