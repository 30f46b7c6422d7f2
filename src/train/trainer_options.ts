import type { OptionNames } from "../base/options/options.ts";
import type { Value } from "../graph/value.ts";
import type { Values } from "../graph/values.ts";
import type { Callback } from "./callbacks/callback.ts";
import { RUN_OPTIONS, type RunOptions } from "./loop/run_options.ts";
import type { RollbackOptions } from "./past/rollback_options.ts";

/** Options of a `Trainer`. */
export interface TrainerOptions<
  In extends Values = Value,
  Out extends Values = Value,
  Labels extends Values = Value,
> extends RunOptions<In, Out, Labels> {
  /** What looks at its trainings and may end them; checkpoints keep their states. Default: none. */
  readonly callbacks?: readonly Callback[] | undefined;
  /** Which states are kept on the GPU for `Trainer.rollback`: `{ last: 4, everySteps: 50 }`. Default: none. */
  readonly rollback?: RollbackOptions | undefined;
}

/** Every option of {@link TrainerOptions}. */
export const TRAINER_OPTIONS: OptionNames<TrainerOptions> = {
  ...RUN_OPTIONS,
  callbacks: true,
  rollback: true,
};
