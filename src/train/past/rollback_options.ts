import { checkOptions, type OptionNames } from "../../base/options/options.ts";

/** Which states of a run are kept on the GPU while it is trained, for `Trainer.rollback`. */
export interface RollbackOptions {
  /**
   * How many. Each takes as much GPU memory as the store, so that it is divided by 1 + `last` before anything is
   * computed.
   */
  readonly last: number;
  /** Every how many steps one is kept, and one where a training begins. Default 1. */
  readonly everySteps?: number | undefined;
}

/** Every option of {@link RollbackOptions}. */
export const ROLLBACK_OPTIONS: OptionNames<RollbackOptions> = { last: true, everySteps: true };

/** What is kept, with defaults filled in; nothing where nothing was asked for. */
export type RollbackSettings = Required<{ [Key in keyof RollbackOptions]: number }>;

/** @throws TypeError for an unknown option, RangeError for a number that is none. */
export function rollbackSettings(options: RollbackOptions | undefined): RollbackSettings | undefined {
  if (options === undefined) return undefined;
  const { last, everySteps = 1 } = checkOptions("rollback", options, ROLLBACK_OPTIONS, "{ last: 4 }");
  for (const [name, number] of Object.entries({ last, everySteps })) {
    if (Number.isSafeInteger(number) && number >= 1) continue;
    throw new RangeError(`${name} of rollback is an integer from 1, found ${number}`);
  }
  return { last, everySteps };
}
