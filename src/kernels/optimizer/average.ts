import type { Dispatch } from "../../gpu/dispatch.ts";
import { updateKernel } from "./update_kernel.ts";

/** What a running average of parameters binds. */
export interface AverageBindings<B> {
  /** After its update: read. */
  readonly parameter: B;
  /** Read and written; it begins with the first update, whatever it holds. */
  readonly average: B;
  readonly verdict: B;
}

/** Sizes and hyperparameters. */
export interface AverageHyperparameters {
  readonly count: number;
  /** How much of the average stays in each update. */
  readonly decay: number;
}

/** One step of an exponential moving average: `a ← a + (p - a)(1 - decay)`, and `a ← p` in the first update. */
export function average<B>(
  { parameter, average: mean, verdict }: AverageBindings<B>,
  { count, decay }: AverageHyperparameters,
): Dispatch<B> {
  return updateKernel({
    name: "average",
    sizes: { count },
    verdict,
    written: { mean },
    read: { parameter },
    // Subtracted here: in f32, 1 - 0.999 keeps four digits.
    constants: { one_minus_decay: 1 - decay },
    body: `  let p = parameter[index];
  let a = select(mean[index], p, verdict.updates == 1u);
  mean[index] = a + (p - a) * one_minus_decay;`,
  });
}
