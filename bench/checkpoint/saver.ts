import { rmSync } from "node:fs";
import { join } from "node:path";
import type { SaveReport } from "../../src/checkpoint/pending_snapshot.ts";
import { Snapshot } from "../../src/checkpoint/snapshot.ts";
import type { BenchState } from "./state.ts";
import { type Contender, median } from "../interleaved.ts";

/** The modes that are measured. */
export const MODES = ["fast", "balanced"] as const;
/** One of {@link MODES}. */
export type Mode = typeof MODES[number];

/** Saves of one mode into a folder of its own, as a user makes them. */
export class Saver {
  readonly mode: Mode;
  readonly #state: BenchState;
  readonly #snapshot: Snapshot;
  #step = 0;
  readonly #stagedMs: number[] = [];
  readonly #durableMs: number[] = [];
  #report: SaveReport | undefined;

  constructor(state: BenchState, directory: string, mode: Mode) {
    this.mode = mode;
    this.#state = state;
    this.#snapshot = new Snapshot(join(directory, mode), { store: state.store }, { mode });
  }

  /** Marks the state, saves it, and waits until it is durable. */
  contender(): Contender<unknown> {
    return {
      name: `save, ${this.mode}`,
      run: async () => {
        this.#state.mark();
        const start = performance.now();
        const pending = await this.begin();
        await pending.staged;
        this.#stagedMs.push(performance.now() - start);
        this.#report = await pending.wait();
        this.#durableMs.push(performance.now() - start);
      },
      check: async () => {
        if (this.#report !== undefined) await this.check(this.#report);
      },
    };
  }

  begin(): ReturnType<Snapshot["save"]> {
    return this.#snapshot.save(++this.#step);
  }

  /** Compares the file with the state and removes it. */
  async check({ path }: SaveReport): Promise<void> {
    await this.#state.checkFile(path);
    rmSync(path);
  }

  /** Puts the last checkpoint back into the store. */
  async restore(): Promise<void> {
    await this.#snapshot.restore(this.#step);
  }

  /** Prints where the time of the saves went. */
  print(): void {
    if (this.#report === undefined) return;
    const { written: { ratio, codecs, rates } } = this.#report;
    const staged = median(this.#stagedMs.slice(1));
    const after = median(this.#durableMs.slice(1)) - staged;
    const first = this.#durableMs[0] ?? NaN;
    const chunks = Object.entries(codecs).map(([codec, count]) => `${count} ${codec}`).join(", ");
    const measured = rates === undefined
      ? ""
      : `; it measured encode ${perSecond(rates.encode)}, write ${perSecond(rates.write)}`;
    console.log(
      `  save, ${this.mode}: all read from the GPU and encoded after ${staged.toFixed(0)} ms, durable ` +
        `${after.toFixed(0)} ms later; ${ratio.toFixed(3)}x smaller (chunks: ${chunks})${measured}; ` +
        `the first, with its read-back, took ${first.toFixed(0)} ms`,
    );
  }

  close(): Promise<void> {
    return this.#snapshot.close();
  }
}

function perSecond(rateInBytes: number | undefined): string {
  return rateInBytes === undefined ? "nothing" : `${(rateInBytes / 1e6).toFixed(0)} MB/s`;
}
