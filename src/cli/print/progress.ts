import type { Output } from "./output.ts";

const CLEAR_LINE = "\r\x1b[K";

/** How far something is, on one line that is written anew, in a terminal only. */
export class ProgressLine {
  readonly #output: Output;
  #percent: number | undefined;

  constructor(output: Output) {
    this.#output = output;
  }

  /** `label` is safe. */
  show(label: string, done: number, total: number): void {
    const percent = total === 0 ? 100 : Math.floor(100 * done / total);
    if (!this.#output.isTerminal || percent === this.#percent) return;
    this.#percent = percent;
    this.#output.note(`${CLEAR_LINE}${String(percent).padStart(3)} %  ${label}`);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#percent !== undefined) this.#output.note(CLEAR_LINE);
    this.#percent = undefined;
  }
}
