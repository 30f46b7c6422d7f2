import type { OptionNames } from "../../base/options/options.ts";

/** Options of `close` of a `Trainer` and a `TrainStep`. */
export interface CloseOptions {
  /** Whether its groups in the store are freed: weights, what the optimiser keeps, the last losses. Default false. */
  readonly free?: boolean | undefined;
}

/** Every option of {@link CloseOptions}. */
export const CLOSE_OPTIONS: OptionNames<CloseOptions> = { free: true };
