import type { Report } from "./thread/protocol.ts";

/** What the thread says. After the first report all are kept until somebody listens: another rank may be faster. */
export class Reports {
  /** What it says first. */
  readonly first: Promise<Report>;
  #listener: (report: Report) => void = () => {};
  readonly #kept: Report[] = [];

  constructor() {
    this.first = new Promise((resolve) => {
      this.#listener = (report) => {
        this.#listener = (later) => void this.#kept.push(later);
        resolve(report);
      };
    });
  }

  add(report: Report): void {
    this.#listener(report);
  }

  /** Hands on what was kept, and all that comes. */
  hear(listener: (report: Report) => void): void {
    this.#listener = listener;
    for (const report of this.#kept.splice(0)) listener(report);
  }
}
