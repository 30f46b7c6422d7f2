import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { lastN } from "../keep/retention/by_count.ts";
import type { RetentionRule } from "../keep/retention/rule.ts";

/** What a configuration file says of checkpoints. Follows `TrainingConfig` of the-algorithm-ml. */
export interface CheckpointingFields {
  /** Save every this many optimiser steps. Default 1000. */
  readonly checkpointEveryN?: number | undefined;
  /** How many of the newest checkpoints are kept; all of them unless given. */
  readonly checkpointMaxToKeep?: number | null | undefined;
  /** How long to wait for evaluators, in seconds. Default 1800. */
  readonly evalTimeoutInS?: number | undefined;
}

/** Every option of {@link CheckpointingFields}. */
export const CHECKPOINTING_FIELDS: OptionNames<CheckpointingFields> = {
  checkpointEveryN: true,
  checkpointMaxToKeep: true,
  evalTimeoutInS: true,
};

/** The resulting settings, as options of what uses them. */
export interface CheckpointingConfig {
  /** For `autoSave({ everySteps })`. */
  readonly everySteps: number;
  /** For each save: `keep`. Empty when everything is kept. */
  readonly keep: { readonly last?: number | undefined };
  /** The same as a rule, to be put together with others. `undefined` when everything is kept. */
  readonly rule: RetentionRule | undefined;
  /** For `waitForEvaluators`. */
  readonly evalTimeoutMs: number;
}

/**
 * Checks the fields of a configuration, and fills in the defaults.
 *
 * @throws TypeError for a field that is not known; RangeError for an impossible number. Both name the field.
 */
export function checkpointingConfig(fields: CheckpointingFields = {}): CheckpointingConfig {
  checkOptions("checkpointingConfig()", fields, CHECKPOINTING_FIELDS);
  const { checkpointEveryN = 1000, checkpointMaxToKeep, evalTimeoutInS = 1800 } = fields;
  requireCount("checkpointEveryN", checkpointEveryN);
  if (typeof evalTimeoutInS !== "number" || !(evalTimeoutInS >= 0)) {
    throw new RangeError(`evalTimeoutInS is a number of seconds from 0, found ${String(evalTimeoutInS)}`);
  }
  const last = checkpointMaxToKeep ?? undefined;
  if (last !== undefined) requireCount("checkpointMaxToKeep", last);
  return {
    everySteps: checkpointEveryN,
    keep: { last },
    rule: last === undefined ? undefined : lastN(last),
    evalTimeoutMs: evalTimeoutInS * 1000,
  };
}

function requireCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new RangeError(`${name} is an integer from 1, found ${String(value)}`);
  }
}
