import { definedFields } from "../../base/defined_fields.ts";
import { CairnError } from "../../base/errors.ts";
import { type DescribedValue, type Description, descriptionOf } from "../../base/description.ts";
import { functionDescription } from "../../nn/function_description.ts";
import { describeClipping } from "../step/clip_gradients.ts";
import { NUMERICS_VERSION } from "./numerics_version.ts";
import type { AnyRun } from "./run_options.ts";
import type { Seed } from "../../data/seed.ts";

/** What a run depends on besides its model. `resume({ allow })` names those that are changed on purpose. */
export type RunSetting =
  | "seed"
  | "optimizer"
  | "schedule"
  | "loss"
  | "batchSize"
  | "data"
  | "precision"
  | "numerics";

/** Every {@link RunSetting}. */
export const RUN_SETTINGS: readonly RunSetting[] = [
  "seed",
  "optimizer",
  "schedule",
  "loss",
  "batchSize",
  "data",
  "precision",
  "numerics",
];

/** The recorded settings of a run; not in the first checkpoints. */
export type RecordedSettings = {
  readonly optimizer: Description;
  readonly schedule?: Description | undefined;
  readonly loss: Description;
  /** Only where there are some. */
  readonly regularizers?: Description | undefined;
  readonly precision: string;
  /** Only where batches are computed in pieces. */
  readonly microBatchSize?: number | undefined;
  /** Only where batches are computed in shards. */
  readonly shards?: number | undefined;
  /** What the source says of itself. */
  readonly data?: Description | undefined;
  readonly numerics: number;
};

/** What of a run has to be the same for a resumed one to have the same bits. */
export interface RunIdentity {
  readonly seed: Seed;
  readonly optimizer: string;
  readonly batchSize: number;
  readonly batchesPerEpoch: number;
  readonly exampleCount?: number | undefined;
  readonly parts?: RecordedSettings | undefined;
}

/** Something in which two runs differ. */
export interface RunDifference {
  /** What differs. */
  readonly part: RunSetting;
  /** Which number or option, such as "optimizer.beta1". */
  readonly what: string;
  /** In the checkpoint. */
  readonly found: string;
  /** In this run. */
  readonly expected: string;
}

/** Whether something may be different. */
export type Allowance = (difference: RunDifference) => boolean;

/** @throws TypeError or RangeError for an invalid list of settings. */
export function allowing(allow: readonly RunSetting[]): Allowance {
  const settings: readonly string[] = RUN_SETTINGS;
  const expected = settings.map((setting) => `"${setting}"`).join(", ");
  if (!Array.isArray(allow)) {
    throw new TypeError(`allow is a list of some of ${expected}, found ${typeof allow}`);
  }
  const stranger = allow.find((setting) => !settings.includes(setting));
  if (stranger === undefined) return ({ part: setting }) => allow.includes(setting);
  throw new RangeError(`allow has ${JSON.stringify(stranger)} in it, expected some of ${expected}`);
}

/** A {@link RunDifference} that was allowed, and the step from which on it was so. */
export type RunChange = {
  readonly step: number;
  readonly part: string;
  readonly what: string;
  readonly from: string;
  readonly to: string;
};

/** What of a run there is to record. */
export function recordedSettings(
  { optimizer, loss, regularizers = {}, clipGradients, microBatchSize, parallel, precision = "f32" }: Pick<
    AnyRun,
    "optimizer" | "loss" | "regularizers" | "clipGradients" | "microBatchSize" | "parallel" | "precision"
  >,
  data: Description | undefined,
): RecordedSettings {
  const { learningRate, ...described } = descriptionOf(optimizer) ?? { name: optimizer.name };
  const clipping = describeClipping(clipGradients);
  const penalties = Object.entries(regularizers).map(([name, each]) => [name, functionDescription(each)]);
  return definedFields<RecordedSettings>({
    optimizer: definedFields<Description>({ ...described, clipGradients: clipping }),
    schedule: isDescription(learningRate) ? learningRate : undefined,
    loss: functionDescription(loss),
    regularizers: penalties.length === 0
      ? undefined
      : { ...NO_REGULARIZERS, ...Object.fromEntries(penalties) },
    precision,
    microBatchSize,
    shards: parallel?.shards,
    data,
    numerics: NUMERICS_VERSION,
  });
}

/** What stands for the size of a micro-batch where the batch is computed at once. */
const WHOLE = "the whole batch";

/** What stands for the number of shards where the batch is not cut into any. */
const NONE = "none";

const NO_REGULARIZERS: Description = { name: "regularizers" };

/** All differences between the run of a checkpoint and this one. What one of them does not say is not compared. */
export function differencesOf(found: RunIdentity, now: RunIdentity): RunDifference[] {
  const differences: RunDifference[] = [];
  const compare = (part: RunSetting, what: string, a: unknown, b: unknown): void => {
    if (a === undefined || b === undefined || a === b) return;
    differences.push({ part, what, found: shortened(String(a)), expected: shortened(String(b)) });
  };
  compare("seed", "seed", BigInt(found.seed), BigInt(now.seed));
  compare("optimizer", "optimizer", found.optimizer, now.optimizer);
  compare("batchSize", "batchSize", found.batchSize, now.batchSize);
  compare("data", "exampleCount", found.exampleCount, now.exampleCount);
  // As many as the two before say, unless a source of another kind counts them otherwise.
  if (found.batchSize === now.batchSize && !differences.some(({ part }) => part === "data")) {
    compare("data", "batchesPerEpoch", found.batchesPerEpoch, now.batchesPerEpoch);
  }
  const [then, today] = [found.parts, now.parts];
  if (then === undefined || today === undefined) return differences;
  const describe = (
    part: RunSetting,
    a: Description | undefined,
    b: Description | undefined,
    path: string = part,
  ): void => {
    if (a === undefined || b === undefined) return;
    for (const [what, x, y] of unequal(path, a, b)) compare(part, what, x, y);
  };
  if (found.optimizer === now.optimizer) describe("optimizer", then.optimizer, today.optimizer);
  describe("schedule", then.schedule, today.schedule);
  describe("loss", then.loss, today.loss);
  const penalties = [then, today].map(({ regularizers = NO_REGULARIZERS }) => regularizers);
  describe("loss", penalties[0], penalties[1], "regularizers");
  describe("data", then.data, today.data);
  compare("batchSize", "microBatchSize", then.microBatchSize ?? WHOLE, today.microBatchSize ?? WHOLE);
  compare("batchSize", "shards", then.shards ?? NONE, today.shards ?? NONE);
  compare("precision", "precision", then.precision, today.precision);
  compare("numerics", "numerics version", then.numerics, today.numerics);
  return differences;
}

/** Pairs of values, as text, of the options in which two descriptions differ; only the name where that does. */
function unequal(path: string, a: Description, b: Description): [what: string, a: string, b: string][] {
  if (a.name !== b.name) return [[path, String(a.name), String(b.name)]];
  if (a.runtime !== b.runtime) return [];
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return keys.flatMap((key): [string, string, string][] => {
    const [x, y] = [a[key], b[key]];
    const what = `${path}.${key}`;
    if (isDescription(x) && isDescription(y)) return unequal(what, x, y);
    return asText(x) === asText(y) ? [] : [[what, asText(x), asText(y)]];
  });
}

function isDescription(value: DescribedValue | undefined): value is Description {
  return typeof value === "object" && value !== null && "name" in value;
}

function asText(value: DescribedValue | undefined): string {
  return isDescription(value)
    ? `${value.name}(${
      Object.entries(value).slice(1).map(([key, each]) => `${key}: ${asText(each)}`).join(", ")
    })`
    : value === undefined
    ? "nothing"
    : Array.isArray(value)
    ? `[${value.join(", ")}]`
    : String(value);
}

/** The most characters of a value in a message. */
const SHOWN_LENGTH = 60;

function shortened(text: string): string {
  return text.length <= SHOWN_LENGTH ? text : `${text.slice(0, SHOWN_LENGTH)}… (${text.length} characters)`;
}

/** An error that names every difference, with all of them as `details.value`. */
export function differentRun(differences: readonly RunDifference[], checkpoint: string): CairnError {
  const list = differences.map(({ what, found, expected }) => `${what} ${found}, this one ${expected}`);
  const parts = [...new Set(differences.map(({ part }) => JSON.stringify(part)))].join(", ");
  const same = differences.length === 1 ? `the same ${differences[0]?.what}` : "the same of each";
  return new CairnError(
    "state_mismatch",
    `Cannot resume from "${checkpoint}": its run has ${
      list.join("; ")
    }. Give ${same}, allow the change with ` +
      `resume({ allow: [${parts}] }), save into another directory, or take the weights alone with warmStart()`,
    { details: { tag: checkpoint, value: differences } },
  );
}
