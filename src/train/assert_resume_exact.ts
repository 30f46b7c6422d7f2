import { CairnError } from "../base/errors.ts";
import { checkOptions, type OptionNames } from "../base/options/options.ts";
import { FileEngine } from "../checkpoint/engine/file_engine.ts";
import { MemoryStorage } from "../storage/memory_storage.ts";
import { requireSteps, tensorsOf } from "./first_difference.ts";
import type { Values } from "../graph/values.ts";
import type { Run } from "./loop/run.ts";
import { loadRun, type RestoreTarget } from "./restore.ts";
import { RunDirectories } from "./run_directories.ts";
import { saveRun } from "./save_run.ts";
import { describeDifference, type TensorDifference, tensorDifference } from "./tensor_difference.ts";
import type { Trainer } from "./trainer.ts";

/** Options of {@link assertResumeExact}. */
export interface AssertResumeExactOptions {
  /** Steps before the run is saved, and again after it was loaded. Default 8. */
  readonly steps?: number | undefined;
  /** Stops between two steps; the run is put back first. */
  readonly signal?: AbortSignal | undefined;
}

/** Every option of {@link AssertResumeExactOptions}. */
export const ASSERT_RESUME_EXACT_OPTIONS: OptionNames<AssertResumeExactOptions> = {
  steps: true,
  signal: true,
};

/**
 * Proves of a run of your own what Cairn promises: that 2N steps end with the same bits as N steps, a save, a load and
 * N more. All tensors are compared, moments and buffers too. When it ends, the run is as it was before, and so are
 * callbacks, which hear of the trial steps. Nothing is written to a disk: the checkpoints are in memory.
 *
 * It finds what a checkpoint cannot know of: a data source that is no function of what it is asked for, or a layer,
 * loss, metric or schedule that keeps something of its own between steps. Call it once, before `autoSave()`.
 *
 * @example
 * ```ts
 * await assertResumeExact(trainer, { steps: 20 });
 * ```
 *
 * @throws CairnError `state_mismatch` that names the first tensor and element that differ; what `train`, `save` and
 * `load` throw.
 * @throws TypeError after `autoSave()`: the run would save its trial steps.
 */
export async function assertResumeExact(
  trainer: Trainer<Values, Values, Values>,
  options: AssertResumeExactOptions = {},
): Promise<void> {
  checkOptions("assertResumeExact()", options, ASSERT_RESUME_EXACT_OPTIONS, "{ steps: 20 }");
  const { steps = 8, signal } = options;
  requireSteps("assertResumeExact()", steps);
  if (trainer.autoSaveSettings !== undefined) {
    throw new TypeError(
      "assertResumeExact() trains for a trial, which would be saved; call it before autoSave()",
    );
  }
  const trial = await Trial.of(trainer);
  const first = trainer.step;
  const trainTo = (total: number): Promise<unknown> =>
    trainer.train({ steps: first + total, progress: false, signal });
  try {
    await trial.save("start");
    try {
      await trainTo(2 * steps);
      const undisturbed = await tensorsOf(trainer);
      await trial.load("start");
      await trainTo(steps);
      await trial.save("middle");
      // What the run has in memory is that of another step when it is loaded.
      await trainTo(steps + 1);
      await trial.load("middle");
      await trainTo(2 * steps);
      const difference = tensorDifference(undisturbed, await tensorsOf(trainer));
      if (difference !== undefined) throw inexact(steps, difference);
    } finally {
      await trial.load("start");
    }
  } finally {
    await trial.close();
  }
}

/** Checkpoints of a run in memory. */
class Trial {
  readonly #run: Run;
  readonly #directories: RunDirectories;
  readonly #target: RestoreTarget;
  /** What a load says of where the run comes from, as it was before: the trial is none of its past. */
  readonly #past: Pick<Run, "parent" | "resumedFrom">;

  private constructor(run: Run, directories: RunDirectories, target: RestoreTarget) {
    this.#run = run;
    this.#directories = directories;
    this.#target = target;
    this.#past = { parent: run.parent, resumedFrom: run.resumedFrom };
  }

  static async of({ run }: Trainer<Values, Values, Values>): Promise<Trial> {
    const directories = new RunDirectories(run, () => undefined);
    const engine = await FileEngine.open(new MemoryStorage());
    const { target } = await directories.lookIn("assertResumeExact", engine);
    await run.initialize();
    return new Trial(run, directories, target);
  }

  async save(tag: string): Promise<void> {
    await saveRun(this.#target, tag, {});
  }

  async load(tag: string): Promise<void> {
    await loadRun(this.#target, tag, {});
    Object.assign(this.#run, this.#past);
  }

  async close(): Promise<void> {
    await this.#directories.close();
  }
}

function inexact(steps: number, difference: TensorDifference): CairnError {
  return new CairnError(
    "state_mismatch",
    `The run is not exact: ${2 * steps} steps and ${steps}, a save, a load and ${steps} more differ in ` +
      `${
        describeDifference(difference)
      }. Something that a step depends on is not in the checkpoint, such as ` +
      "data that is no function of what is asked for, or a layer, loss or schedule that keeps something",
    { details: { tensor: difference.tensor } },
  );
}
