import { throwIfAborted } from "../base/abort.ts";
import { checkOptions, type OptionNames } from "../base/options/options.ts";
import { type Work, WORK_OPTIONS } from "../base/work.ts";
import { type TensorDifference, tensorDifference, type Tensors } from "./tensor_difference.ts";
import type { Values } from "../graph/values.ts";
import type { Trainer } from "./trainer.ts";

/** Options of {@link firstDifference}. Its progress is in steps. */
export interface FirstDifferenceOptions extends Work {
  /** How many steps are compared at most. Default 100. */
  readonly steps?: number | undefined;
}

/** Every option of {@link FirstDifferenceOptions}. */
export const FIRST_DIFFERENCE_OPTIONS: OptionNames<FirstDifferenceOptions> = { ...WORK_OPTIONS, steps: true };

/** Where two runs part. */
export interface RunDivergence extends TensorDifference {
  /** Steps done when the tensor was different for the first time. */
  readonly step: number;
}

/**
 * Trains two runs side by side, step by step, and says at which step and in which tensor they part: weights, moments,
 * and what else is in their stores. They are compared as they are, first, and stay where they parted.
 *
 * For two versions of a script, two machines' checkpoints, or a change that should change nothing. It reads all tensors
 * of both at every step, which takes as much host memory.
 *
 * @returns undefined where all bits were the same to the end.
 * @throws TypeError for runs that are not at the same step, or do not have the same tensors; what `train` throws.
 */
export async function firstDifference(
  a: Trainer<Values, Values, Values>,
  b: Trainer<Values, Values, Values>,
  options: FirstDifferenceOptions = {},
): Promise<RunDivergence | undefined> {
  checkOptions("firstDifference()", options, FIRST_DIFFERENCE_OPTIONS, "{ steps: 100 }");
  const { steps = 100, signal, onProgress } = options;
  requireSteps("firstDifference()", steps);
  if (a.step !== b.step) {
    throw new TypeError(
      `Only runs at the same step can be compared; they are at ${a.step} and ${b.step}. Load or train one of them first`,
    );
  }
  const first = a.step;
  for (let done = 0; done <= steps; done++) {
    throwIfAborted(signal);
    const step = first + done;
    // The runs are compared before the first step, too.
    for (const trainer of done === 0 ? [] : [a, b]) await trainer.train({ steps: step, progress: false });
    const difference = tensorDifference(await tensorsOf(a), await tensorsOf(b));
    if (difference !== undefined) return { step, ...difference };
    onProgress?.({ done, total: steps });
  }
  return undefined;
}

/** All tensors of a run, copied to the host. */
export async function tensorsOf({ store }: Pick<Trainer, "store">): Promise<Tensors> {
  return await store.read(store.tensors().map(({ name }) => name));
}

/** @throws RangeError unless `steps` counts some. */
export function requireSteps(what: string, steps: number): void {
  if (Number.isSafeInteger(steps) && steps >= 1) return;
  throw new RangeError(`steps of ${what} is an integer from 1, found ${steps}`);
}
