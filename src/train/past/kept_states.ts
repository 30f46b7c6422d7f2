import type { AutoSaver } from "../saves/auto_saver.ts";
import type { Run } from "../loop/run.ts";
import type { RollbackSettings } from "./rollback_options.ts";
import { momentOf, returnTo, type RunMoment } from "./run_moment.ts";
import { StoreCopies } from "./store_copies.ts";

/** One state of a run that can be put back. */
export interface KeptState {
  readonly moment: RunMoment;
  /** Which copy of the store has its tensors. */
  readonly copy: number;
}

/**
 * The last states of a run, with their tensors on the GPU. Taking one is a copy in the queue and waits for nothing.
 *
 * The host hears of a step that was not finite up to 64 steps later, and every state that was kept since is of no use
 * then. So the newest that is known to be sound stays until a newer one is known to be.
 */
export class KeptStates {
  readonly #run: Run;
  readonly #settings: RollbackSettings;
  readonly #autoSaver: () => AutoSaver | undefined;
  #copies: StoreCopies | undefined;
  /** Oldest first. */
  #kept: KeptState[] = [];
  /** How often the run had been restored when these were taken: they are of no other past. */
  #restores = 0;
  #isBeginning = false;

  constructor(run: Run, settings: RollbackSettings, autoSaver: () => AutoSaver | undefined) {
    this.#run = run;
    this.#settings = settings;
    this.#autoSaver = autoSaver;
  }

  /** Of which steps there is a state, oldest first. */
  get steps(): number[] {
    this.#forgetOthers();
    return this.#kept.map(({ moment }) => moment.step);
  }

  /** Before a training: gets memory for all states. @throws CairnError `out_of_memory` with the sum. */
  async prepare(): Promise<void> {
    this.#forgetOthers();
    this.#isBeginning = true;
    if (this.#copies !== undefined) return;
    const { last } = this.#settings;
    this.#copies = await StoreCopies.allocate(this.#run.store, last, `rollback: { last: ${last} }`);
  }

  /** To be called before every step. @throws what a callback throws that gives its state. */
  takeIfDue(): void {
    const { step } = this.#run;
    const isBeginning = this.#isBeginning;
    if (this.#copies === undefined || (!isBeginning && step % this.#settings.everySteps !== 0)) return;
    const moment = momentOf(this.#run, this.#autoSaver());
    this.#isBeginning = false;
    // Of the same step only the newer one: the weights may have been written since.
    this.#kept = this.#kept.filter((each) => each.moment.step < step);
    const copy = this.#freeCopy();
    this.#copies.take(copy);
    this.#kept.push({ moment, copy });
  }

  /** The newest of a step up to `step`. */
  newestUpTo(step: number): KeptState | undefined {
    this.#forgetOthers();
    return this.#kept.findLast(({ moment }) => moment.step <= step);
  }

  /** Makes the run what it was then. Later states are forgotten. */
  async putBack({ moment, copy }: KeptState): Promise<void> {
    const copies = this.#copies;
    if (copies === undefined) return;
    await returnTo(this.#run, moment, {
      autoSaver: this.#autoSaver(),
      putBack: () => copies.putBack(copy),
    });
    this.#restores = this.#run.restores;
    this.#forgetOthers();
  }

  /** Frees the memory. Safe to call twice. */
  close(): void {
    this.#kept = [];
    this.#copies?.close();
    this.#copies = undefined;
  }

  /** Those of a run that was loaded since, of a lost device, and those that a step that was not finite was before. */
  #forgetOthers(): void {
    const { restores, step } = this.#run;
    if (this.#copies?.isCurrent === false) this.close();
    if (this.#restores !== restores) this.#kept = [];
    this.#restores = restores;
    this.#kept = this.#kept.filter(({ moment }) => moment.step <= step);
  }

  #freeCopy(): number {
    const { last } = this.#settings;
    if (this.#kept.length === last) {
      const known = this.#run.history.length;
      const [first, second] = this.#kept.map(({ moment }) => moment.step);
      const isFirstNeeded = first !== undefined && first <= known && second !== undefined && second > known;
      this.#kept.splice(isFirstNeeded ? 1 : 0, 1);
    }
    const taken = new Set(this.#kept.map(({ copy }) => copy));
    return Array.from({ length: last }, (_, copy) => copy).find((copy) => !taken.has(copy)) ?? 0;
  }
}
