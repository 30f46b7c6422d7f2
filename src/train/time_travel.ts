import type { GotoOptions, GotoReport } from "./goto_options.ts";
import type { Run } from "./loop/run.ts";
import type { KeptStates } from "./past/kept_states.ts";
import type { RollbackSettings } from "./past/rollback_options.ts";
import type { RunDirectories } from "./run_directories.ts";
import type { AutoSaver } from "./saves/auto_saver.ts";

/** Takes a run back to what it was. What keeps states is imported where they are kept. */
export class TimeTravel {
  readonly #run: Run;
  readonly #autoSaver: () => AutoSaver | undefined;
  readonly #directories: RunDirectories;
  readonly #settings: RollbackSettings | undefined;
  #kept: KeptStates | undefined;

  /** @param settings Which states are kept, if any. */
  constructor(
    run: Run,
    settings: RollbackSettings | undefined,
    { directories, autoSaver }: {
      readonly directories: RunDirectories;
      readonly autoSaver: () => AutoSaver | undefined;
    },
  ) {
    this.#run = run;
    this.#autoSaver = autoSaver;
    this.#directories = directories;
    this.#settings = settings;
  }

  /** What keeps states in a training; undefined where none are to be kept. @throws CairnError `out_of_memory`. */
  async keeping(): Promise<KeptStates | undefined> {
    if (this.#settings === undefined) return undefined;
    if (this.#kept === undefined) {
      const { KeptStates } = await import("./past/kept_states.ts");
      this.#kept = new KeptStates(this.#run, this.#settings, this.#autoSaver);
    }
    await this.#kept.prepare();
    return this.#kept;
  }

  /** Goes back by `steps` steps or a few more, and says to which. */
  async rollback(steps: number): Promise<number> {
    if (!Number.isSafeInteger(steps) || steps < 1) {
      throw new RangeError(`rollback() goes back by a number of steps from 1, found ${steps}`);
    }
    if (this.#settings === undefined) {
      throw new TypeError(
        "rollback() needs states to go back to: make the trainer with rollback: { last: 4 }, which keeps the last four on the GPU",
      );
    }
    await this.#run.settle();
    const { step } = this.#run;
    const state = this.#kept?.newestUpTo(step - steps);
    if (state === undefined) throw notKept(step, steps, this.#kept?.steps ?? []);
    await this.#kept?.putBack(state);
    return this.#run.step;
  }

  /** Goes to any step of the past; see {@link gotoStep}. */
  async goto(step: number, options: GotoOptions): Promise<GotoReport> {
    if (!Number.isSafeInteger(step) || step < 0) {
      throw new RangeError(`goto() goes to a number of steps from 0, found ${step}`);
    }
    if (this.#run.steps.rules.owners !== undefined) {
      throw new TypeError(
        "goto() is not for ranks that keep a part each of what the optimiser has (optimizerSharding): resume from a " +
          "checkpoint, or go back by rollback()",
      );
    }
    const { gotoStep } = await import("./goto.ts");
    const autoSaver = this.#autoSaver();
    const target = this.#directories.isKnown ? await this.#directories.target() : undefined;
    return await gotoStep({ run: this.#run, autoSaver, target, kept: this.#kept }, step, options);
  }

  /** Frees what is kept. */
  close(): void {
    this.#kept?.close();
  }
}

function notKept(step: number, steps: number, kept: readonly number[]): RangeError {
  const there = kept.length === 0
    ? "none is kept, as nothing was trained since the run was made or loaded"
    : `there are states of ${kept.length === 1 ? "step" : "the steps"} ${kept.join(", ")}`;
  return new RangeError(
    `Cannot go back ${steps} ${
      steps === 1 ? "step" : "steps"
    } from step ${step}: ${there}; keep more of them with rollback: { last, everySteps }, or ` +
      "goto() a step",
  );
}
