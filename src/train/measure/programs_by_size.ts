import { CairnError } from "../../base/errors.ts";
import type { Executable } from "../../graph/executable.ts";

/** Programs for other sizes than the batch's that are kept: those of last batches. */
const KEPT_SIZES = 4;

/**
 * Programs of one kind by the size of the batch. A last batch that is smaller has a program of its size, so that
 * nothing is filled up.
 */
export class ProgramsBySize<Program extends { readonly executable: Executable }> {
  readonly #what: string;
  /** The one that was used last at the end. */
  readonly #programs = new Map<number, Program>();
  #isClosed = false;

  /** @param what What goes on with them, for messages: "the evaluation". */
  constructor(what: string) {
    this.#what = what;
  }

  /**
   * The program for batches of `size` examples, which is compiled where there is none.
   *
   * @param batchSize How many examples all batches but the last have: the program of that size is never forgotten.
   * @throws CairnError `closed` after {@link ProgramsBySize.close}, also where that came in the meantime.
   */
  async get(size: number, batchSize: number, compile: () => Promise<Program>): Promise<Program> {
    this.#requireOpen();
    const program = this.#programs.get(size) ?? await compile();
    if (this.#isClosed) program.executable.close();
    this.#requireOpen();
    this.#programs.delete(size);
    this.#programs.set(size, program);
    this.#forgetOldest(batchSize);
    return program;
  }

  /** Frees all of them. */
  close(): void {
    this.#isClosed = true;
    for (const { executable } of this.#programs.values()) executable.close();
    this.#programs.clear();
  }

  /** Sets of many sizes must not fill the GPU with programs. */
  #forgetOldest(batchSize: number): void {
    const others = [...this.#programs].filter(([size]) => size !== batchSize);
    for (const [size, { executable }] of others.slice(0, -KEPT_SIZES)) {
      executable.close();
      this.#programs.delete(size);
    }
  }

  #requireOpen(): void {
    if (!this.#isClosed) return;
    throw new CairnError("closed", `Cannot go on with ${this.#what}: the trainer was closed meanwhile`);
  }
}
