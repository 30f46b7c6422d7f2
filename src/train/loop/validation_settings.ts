import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { type BatchSource, requireExamples } from "../../data/batch_source.ts";

/** The validation data, and when it is used besides the end of each epoch. */
export interface ValidationOptions {
  /** What is measured. Nothing is learnt from it. */
  readonly data: BatchSource;
  /** Also every this many steps, within an epoch; 0 or null never. Default null. */
  readonly everySteps?: number | null | undefined;
}

/** Every option of {@link ValidationOptions}. */
export const VALIDATION_OPTIONS: OptionNames<ValidationOptions> = { data: true, everySteps: true };

/** The option `validation` with nothing left to be guessed. */
export interface ValidationSettings {
  readonly data: BatchSource;
  readonly everySteps: number | null;
}

/**
 * The settings that an option means.
 *
 * @throws TypeError for an invalid loader; RangeError for data without examples, or an invalid number of steps.
 */
export function validationOf(
  option: BatchSource | ValidationOptions | undefined,
): ValidationSettings | undefined {
  if (option === undefined) return undefined;
  if (typeof option !== "object" || option === null) throw noSource(option);
  const { data, everySteps = null } = isSource(option)
    ? { data: option }
    : checkOptions<ValidationOptions>("validation", option, VALIDATION_OPTIONS, "{ data, everySteps: 100 }");
  if (!isSource(data)) throw noSource(data);
  if (everySteps !== null && !(Number.isSafeInteger(everySteps) && everySteps >= 0)) {
    throw new RangeError(`validation.everySteps is an integer number of steps or null, found ${everySteps}`);
  }
  requireExamples("The validation data", data);
  return { data, everySteps: everySteps === 0 ? null : everySteps };
}

function noSource(found: unknown): TypeError {
  const what = found === null ? "null" : typeof found;
  return new TypeError(
    `validation is a DataLoader or a BatchSource, or { data, everySteps } with one, found ${what}`,
  );
}

function isSource(value: unknown): value is BatchSource {
  return typeof (value as BatchSource | null | undefined)?.batchAt === "function";
}
