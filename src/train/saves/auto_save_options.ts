import { requireAwaited } from "../../base/options/kind_of.ts";
import { refuseTilde } from "../../base/options/refuse_tilde.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { OnDiskFull } from "../../checkpoint/engine/disk_space.ts";
import type { Engine } from "../../checkpoint/engine/engine.ts";
import { asModelCode, type ModelCode } from "../../checkpoint/capture/model_code.ts";
import type { EngineTarget } from "../../checkpoint/engine/engine_target.ts";
import { directionOf } from "../../checkpoint/keep/retention/metric_direction.ts";
import type { RetentionRule } from "../../checkpoint/keep/retention/rule.ts";
import type { RetentionPolicy } from "../../checkpoint/keep/retention/retention.ts";
import {
  WRITER_LOCK_OPTIONS,
  type WriterLockOptions,
} from "../../checkpoint/engine/lock/writer_lock_options.ts";
import type { NameTemplate } from "./name_template.ts";

/** Which checkpoint is the best by a metric. */
export interface BestPolicy {
  /** A metric of the epochs and validations: `loss`, `val_loss`, `val_accuracy`, `val_<name>`. */
  readonly metric: string;
  /** Required unless the name says it: `loss` and `error` are minimised, `accuracy` is maximised. */
  readonly direction?: "min" | "max" | undefined;
}

/** Every option of {@link BestPolicy}. */
export const BEST_POLICY: OptionNames<BestPolicy> = { metric: true, direction: true };

/**
 * What is kept when a new checkpoint is durable, besides the one that the run was resumed from. Without
 * `last` and `rule`, everything is.
 */
export interface KeepPolicy {
  /** How many of the newest, at least 1. */
  readonly last?: number | undefined;
  /**
   * And the best by this metric. By one of the validation data (`val_…`), every validation is a moment to save: when
   * it is better than all before, whatever `interval` and `everySteps` say.
   */
  readonly best?: string | BestPolicy | undefined;
  /** And what this keeps. It is code, and so it is not saved with the run. */
  readonly rule?: RetentionRule | undefined;
}

/** Every option of {@link KeepPolicy}. */
export const KEEP_POLICY: OptionNames<KeepPolicy> = { last: true, best: true, rule: true };

/** A {@link KeepPolicy} with nothing left to be guessed. */
export interface KeepSettings {
  /** How many of the newest stay. */
  readonly last?: number | undefined;
  /** The best by this metric stays. */
  readonly best?: RetentionPolicy["best"];
  /** What else stays. */
  readonly rule?: RetentionRule | undefined;
}

/** When checkpoints are saved, under which names, and which are kept. */
export interface AutoSaveOptions {
  /** Every this many epochs; -1 only after the last one; 0 or null never. Default null. */
  readonly interval?: number | null | undefined;
  /** Every this many optimiser steps; 0 or null never. Default null. */
  readonly everySteps?: number | null | undefined;
  /** Directory of the checkpoints, or an engine over a storage of your own; null disables saving. Default ".". */
  readonly savePath?: EngineTarget | null | undefined;
  /** Name of a checkpoint at the end of an epoch. Default `model_epoch{epoch:02d}`. */
  readonly name?: string | undefined;
  /** Name of a checkpoint in the middle of an epoch. Default `step-{step:08d}`. */
  readonly stepName?: string | undefined;
  /** Which checkpoints stay after a save. All of them unless given. */
  readonly keep?: KeepPolicy | undefined;
  /** Delete the checkpoint before when a new one is durable. Default false. */
  readonly overwrite?: boolean | undefined;
  /** Save after the last epoch even when the interval does not fall on it. Default true. */
  readonly saveOnLastEpoch?: boolean | undefined;
  /** Code of the model to keep in every checkpoint; see `readModelCode`. Default null: none. */
  readonly modelCode?: ModelCode | null | undefined;
  /**
   * Whether this run has to be the only one that saves into the directory: training does not begin while
   * another one does (`locked`). Default false. An engine has a setting of its own.
   */
  readonly exclusive?: boolean | WriterLockOptions | undefined;
  /**
   * What a save does for which the disk has no space: fail, wait until space is freed, or delete the oldest
   * checkpoints of this run, though never the newest, the best and the one that it was resumed from. Default "error".
   * An engine has a setting of its own.
   */
  readonly onDiskFull?: OnDiskFull | undefined;
  /**
   * Whether the last whole step is saved before `train` rejects with what a loader or a callback threw. Not after an
   * abort, a lost device or a step that is not finite. Default true.
   */
  readonly saveOnError?: boolean | undefined;
}

/** Every option of {@link AutoSaveOptions}. */
export const AUTO_SAVE_OPTIONS: OptionNames<AutoSaveOptions> = {
  interval: true,
  everySteps: true,
  savePath: true,
  name: true,
  stepName: true,
  keep: true,
  overwrite: true,
  saveOnLastEpoch: true,
  modelCode: true,
  exclusive: true,
  onDiskFull: true,
  saveOnError: true,
};

/** The settings in force. */
export interface AutoSaveSettings {
  /** Text that is saved with each checkpoint; null for none. */
  readonly modelCode: ModelCode | null;
  /** Save every this many epochs; -1 only after the last one; null never. */
  readonly interval: number | null;
  /** Save every this many steps; null never. */
  readonly everySteps: number | null;
  /** Where checkpoints go; null nowhere. */
  readonly savePath: EngineTarget | null;
  /** Name of a checkpoint at the end of an epoch. */
  readonly name: NameTemplate;
  /** Name of a checkpoint in the middle of an epoch. */
  readonly stepName: NameTemplate;
  /** Which checkpoints stay after a save. */
  readonly keep: KeepSettings;
  /** Whether the checkpoint before is deleted when a new one is durable. */
  readonly overwrite: boolean;
  /** Whether the last epoch is saved even when the interval does not fall on it. */
  readonly saveOnLastEpoch: boolean;
  /** Whether the directory is locked for this run, and how. */
  readonly exclusive: boolean | WriterLockOptions;
  /** What happens to a save for which there is no space. */
  readonly onDiskFull: OnDiskFull;
  /** Whether a run that fails is saved before it ends. */
  readonly saveOnError: boolean;
}

/** The setting `interval` that `value` means, or an error that names it; so do the others. */
export function readInterval(value: unknown): number | null {
  if (value === null) return null;
  if (typeof value !== "number" || !Number.isInteger(value)) {
    throw new TypeError(`interval is an integer number of epochs or null, found ${typeName(value)}`);
  }
  if (value < -1) {
    throw new RangeError(`interval is -1 (only the last epoch), 0 (never) or more, found ${value}`);
  }
  return value === 0 ? null : value;
}

/** The setting `everySteps`. */
export function readEverySteps(value: unknown): number | null {
  if (value === null) return null;
  if (typeof value !== "number" || !Number.isInteger(value)) {
    throw new TypeError(`everySteps is an integer number of steps or null, found ${typeName(value)}`);
  }
  if (value < 0) throw new RangeError(`everySteps is 0 (never) or more, found ${value}`);
  return value === 0 ? null : value;
}

/** The setting `savePath`. */
export function readSavePath(value: unknown): EngineTarget | null {
  if (value === null || value instanceof URL || isEngine(value)) return value;
  requireAwaited("savePath", value, "FileEngine.open(…)");
  if (typeof value === "string") refuseTilde(value);
  if (typeof value !== "string") {
    throw new TypeError(`savePath is a path, a URL, an engine or null, found ${typeName(value)}`);
  }
  if (value === "") {
    throw new RangeError('savePath is empty; "." is the current directory, null disables saving');
  }
  return value;
}

function isEngine(value: unknown): value is Engine {
  const candidate = value as Partial<Engine> | null | undefined;
  return typeof candidate === "object" && candidate !== null && typeof candidate.create === "function" &&
    typeof candidate.commit === "function";
}

/** The setting `exclusive`. */
export function readExclusive(value: unknown): boolean | WriterLockOptions {
  if (typeof value === "boolean") return value;
  if (typeof value === "object" && value !== null) {
    return checkOptions<WriterLockOptions>("exclusive", value, WRITER_LOCK_OPTIONS);
  }
  throw new TypeError(`exclusive is true, false or { isOwnerDead }, found ${typeName(value)}`);
}

/** The setting `onDiskFull`. */
export function readOnDiskFull(value: unknown): OnDiskFull {
  if (value === "error" || value === "pause" || value === "evictOldest") return value;
  throw new RangeError(`onDiskFull is "error", "pause" or "evictOldest", found ${JSON.stringify(value)}`);
}

/** An engine locks and checks disk space by the options that it was opened with. */
export function requireDirectory({ savePath, exclusive, onDiskFull }: AutoSaveSettings): void {
  if (!isEngine(savePath) || (exclusive === false && onDiskFull === "error")) return;
  const setting = exclusive === false ? "onDiskFull" : "exclusive";
  throw new TypeError(
    `${setting} is a setting for a directory, and savePath is an engine: give it to FileEngine.open()`,
  );
}

/** The setting `modelCode`. */
export function readCode(value: unknown): ModelCode | null {
  const code = value === null ? null : asModelCode(value);
  if (code !== undefined) return code;
  throw new TypeError(`modelCode is what readModelCode() gave, or null, found ${typeName(value)}`);
}

/** A setting that is true or false. */
export function readBoolean(setting: string, value: unknown): boolean {
  if (typeof value !== "boolean") {
    throw new TypeError(`${setting} is true or false, found ${typeName(value)}`);
  }
  return value;
}

/** The setting `keep`, whose metric is one of `knownFields`. */
export function readKeep(value: unknown, knownFields: readonly string[]): KeepSettings {
  if (typeof value !== "object" || value === null) {
    throw new TypeError(`keep is an object like { last: 3, best: "val_loss" }, found ${typeName(value)}`);
  }
  const { last, best, rule } = checkOptions<KeepPolicy>("keep", value, KEEP_POLICY, "{ last: 3 }");
  if (last !== undefined && (!Number.isInteger(last) || last < 1)) {
    throw new RangeError(`keep.last is an integer from 1, found ${String(last)}`);
  }
  if (rule !== undefined && typeof rule?.keep !== "function") {
    throw new TypeError(`keep.rule is a rule such as everyNSteps(1000), found ${typeName(rule)}`);
  }
  return {
    last,
    best: best === undefined ? undefined : readBest(best, knownFields),
    rule,
  };
}

function readBest(best: unknown, knownFields: readonly string[]): NonNullable<RetentionPolicy["best"]> {
  const { metric, direction } = typeof best === "string"
    ? { metric: best }
    : checkOptions<Partial<BestPolicy>>(
      "keep.best",
      best as Partial<BestPolicy>,
      BEST_POLICY,
      '{ metric: "val_loss", direction: "min" }',
    );
  if (typeof metric !== "string") throw new TypeError(`keep.best names a metric, found ${typeName(metric)}`);
  if (!knownFields.includes(metric)) {
    throw new RangeError(
      `keep.best is "${metric}", which this run never measures; it has ${knownFields.join(", ")}`,
    );
  }
  if (direction !== undefined && direction !== "min" && direction !== "max") {
    throw new RangeError(`keep.best has the direction "min" or "max", found ${String(direction)}`);
  }
  const known = direction ?? directionOf(metric);
  if (known === undefined) {
    throw new RangeError(
      `keep.best: whether a low or a high "${metric}" is better is not in its name; ` +
        `write { metric: "${metric}", direction: "max" }`,
    );
  }
  return { metric, direction: known };
}

/** What a message calls a value of a wrong type. */
export function typeName(value: unknown): string {
  if (value === null) return "null";
  return typeof value === "number" ? String(value) : typeof value;
}
