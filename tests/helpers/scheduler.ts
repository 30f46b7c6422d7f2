import { nextTurn } from "../../src/base/event_loop.ts";

/** Lets tasks go on one step at a time, in an order that a seed decides: the same seed, the same order. */
export class Scheduler {
  readonly #random: () => number;
  readonly #waiting: (() => void)[] = [];

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Resolves when it is this caller's turn. */
  turn(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /**
   * Runs tasks that wait for their turns, until all are over. A task that fails does not stop the others; its caller
   * sees the error.
   */
  async run(tasks: readonly Promise<unknown>[]): Promise<void> {
    let open = tasks.length;
    const closed = (): void => void open--;
    for (const task of tasks) task.then(closed, closed);
    while (open > 0) {
      // Every task that can go on without a turn has done so by then.
      await nextTurn();
      const [next] = this.#waiting.splice(Math.floor(this.#random() * this.#waiting.length), 1);
      next?.();
    }
  }
}
