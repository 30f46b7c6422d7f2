import { checkOptions, type OptionNames } from "../base/options.ts";
import type { OnDiskFull } from "../checkpoint/disk_room.ts";
import type { Engine } from "../checkpoint/engine.ts";
import { asModelCode, type ModelCode } from "../checkpoint/model_code.ts";
import type { EngineTarget } from "../checkpoint/open_engine.ts";
import { directionOf } from "../checkpoint/retention/metric_direction.ts";
import type { RetentionRule } from "../checkpoint/retention/rule.ts";
import { WRITER_LOCK_OPTIONS, type WriterLockOptions } from "../checkpoint/writer_lock.ts";
import { type AutoSaverState, type BestSave, betterOf, takenFrom } from "./auto_saver_state.ts";
import { BASE_FIELDS, NameTemplate } from "./name_template.ts";

/** Which checkpoint a metric calls the best. */
export interface BestPolicy {
  /** A metric of the epochs: `loss`, `val_loss`, `val_accuracy`, `val_<name>`. */
  readonly metric: string;
  /** Required unless the name says it: `loss` and `error` are minimised, `accuracy` is maximised. */
  readonly direction?: "min" | "max";
}

/** Every option of {@link BestPolicy}. */
export const BEST_POLICY: OptionNames<BestPolicy> = { metric: true, direction: true };

/**
 * What is kept when a new checkpoint is durable, besides the one that the run was resumed from. Without
 * `last` and `rule`, everything is.
 */
export interface KeepPolicy {
  /** The newest so many, at least 1. */
  readonly last?: number;
  /** And the best by this metric. */
  readonly best?: string | BestPolicy;
  /** And what this keeps. It is code, and so it is not saved with the run. */
  readonly rule?: RetentionRule;
}

/** Every option of {@link KeepPolicy}. */
export const KEEP_POLICY: OptionNames<KeepPolicy> = { last: true, best: true, rule: true };

/** A {@link KeepPolicy} with nothing left to be guessed. */
export interface KeepSettings {
  readonly last?: number;
  readonly best?: Required<BestPolicy>;
  readonly rule?: RetentionRule;
}

/** When checkpoints are saved, under which names, and which are kept. */
export interface AutoSaveOptions {
  /** Every so many epochs; -1 only after the last one; 0 or null never. Default null. */
  readonly interval?: number | null;
  /** Every so many optimiser steps; 0 or null never. Default null. */
  readonly everySteps?: number | null;
  /**
   * Directory of the checkpoints, or an engine over a storage of one's own; null disables saving. Default
   * ".".
   */
  readonly savePath?: EngineTarget | null;
  /** Name of a checkpoint at the end of an epoch. Default `model_epoch{epoch:02d}`. */
  readonly name?: string;
  /** Name of a checkpoint in the middle of an epoch. Default `step-{step:08d}`. */
  readonly stepName?: string;
  readonly keep?: KeepPolicy;
  /** Delete the checkpoint before when a new one is durable. Default false. */
  readonly overwrite?: boolean;
  /** Save after the last epoch even when the interval does not fall on it. Default true. */
  readonly saveOnLastEpoch?: boolean;
  /** Code of the model to keep in every checkpoint; see `readModelCode`. Default null: none. */
  readonly modelCode?: ModelCode | null;
  /**
   * Whether this run has to be the only one that saves into the directory: training does not begin while
   * another one does (`locked`). Default false. An engine has a setting of its own.
   */
  readonly exclusive?: boolean | WriterLockOptions;
  /**
   * What a save does for which the disk has no room: fail, wait until somebody makes room, or delete the
   * oldest checkpoints of this run, though never the newest, the best and the one that it was resumed from.
   * Default "error". An engine has a setting of its own.
   */
  readonly onDiskFull?: OnDiskFull;
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
};

/** The settings in force. */
export interface AutoSaveSettings {
  readonly modelCode: ModelCode | null;
  readonly interval: number | null;
  readonly everySteps: number | null;
  readonly savePath: EngineTarget | null;
  readonly name: NameTemplate;
  readonly stepName: NameTemplate;
  readonly keep: KeepSettings;
  readonly overwrite: boolean;
  readonly saveOnLastEpoch: boolean;
  readonly exclusive: boolean | WriterLockOptions;
  readonly onDiskFull: OnDiskFull;
}

/**
 * Says when a run is saved and what the checkpoint is called. It does no work itself: the trainer asks it and
 * saves. Follows the `AutoSaver` of NNHandler for epochs, and the cadence of the-algorithm-ml for steps.
 */
export class AutoSaver {
  #settings: AutoSaveSettings;
  readonly #knownFields: readonly string[];
  /** Tag of the last checkpoint that became durable, or that the run was resumed from. */
  lastSavedTag: string | null = null;
  /** Checkpoints that became durable, through restarts too. */
  saves = 0;
  /** The best of them by `keep.best`, through restarts too. */
  best: BestSave | null = null;

  /**
   * Throws a `TypeError` or `RangeError` that names the setting, and `unknown_field` for a template field
   * that is not in `knownFields`: one that no epoch of this run can ever have.
   */
  constructor(options: AutoSaveOptions = {}, knownFields: readonly string[] = BASE_FIELDS) {
    this.#knownFields = knownFields;
    this.#settings = {
      interval: null,
      everySteps: null,
      savePath: ".",
      name: NameTemplate.parse("model_epoch{epoch:02d}", knownFields),
      stepName: NameTemplate.parse("step-{step:08d}", knownFields),
      keep: {},
      overwrite: false,
      saveOnLastEpoch: true,
      modelCode: null,
      exclusive: false,
      onDiskFull: "error",
    };
    this.configure(options);
  }

  get settings(): AutoSaveSettings {
    return this.#settings;
  }

  /** Whether anything will ever be saved. */
  get isEnabled(): boolean {
    const { savePath, interval, everySteps } = this.#settings;
    return savePath !== null && (interval !== null || everySteps !== null);
  }

  /** Replaces the settings that `options` has. All are checked first: after an error none has changed. */
  configure(options: AutoSaveOptions): void {
    const old = this.#settings;
    checkOptions("autoSave()", options, AUTO_SAVE_OPTIONS, '{ interval: 1, savePath: "checkpoints" }');
    const pick = <K extends keyof AutoSaveOptions, T>(key: K, read: (value: unknown) => T, otherwise: T): T =>
      options[key] === undefined ? otherwise : read(options[key]);
    const settings: AutoSaveSettings = {
      interval: pick("interval", readInterval, old.interval),
      everySteps: pick("everySteps", readEverySteps, old.everySteps),
      savePath: pick("savePath", readSavePath, old.savePath),
      name: pick("name", (value) => this.#template("name", value), old.name),
      stepName: pick("stepName", (value) => this.#template("stepName", value), old.stepName),
      keep: pick("keep", (value) => readKeep(value, this.#knownFields), old.keep),
      overwrite: pick("overwrite", (value) => readBoolean("overwrite", value), old.overwrite),
      saveOnLastEpoch: pick(
        "saveOnLastEpoch",
        (value) => readBoolean("saveOnLastEpoch", value),
        old.saveOnLastEpoch,
      ),
      modelCode: pick("modelCode", readCode, old.modelCode),
      exclusive: pick("exclusive", readExclusive, old.exclusive),
      onDiskFull: pick("onDiskFull", readOnDiskFull, old.onDiskFull),
    };
    requireDirectory(settings);
    this.#settings = settings;
  }

  /**
   * Like {@link AutoSaver.configure}, for scripts that should rather train without a setting than stop: each
   * wrong setting is told to `onWarning` and left as it was. So is the fact that saving is disabled.
   */
  configureLeniently(options: AutoSaveOptions, onWarning: (message: string) => void): void {
    for (const [key, value] of Object.entries(options)) {
      try {
        this.configure({ [key]: value });
      } catch (error) {
        onWarning(
          `Automatic saving: ${key} is unchanged. ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    }
    if (!this.isEnabled) onWarning("Automatic saving is disabled");
  }

  /** Whether to save at the end of the 1-based `epoch` of `totalEpochs`. */
  isDueAfterEpoch(epoch: number, totalEpochs: number): boolean {
    const { interval, savePath, saveOnLastEpoch } = this.#settings;
    if (interval === null || savePath === null) return false;
    if (interval > 0 && epoch % interval === 0) return true;
    return epoch === totalEpochs && (saveOnLastEpoch || interval === -1);
  }

  /**
   * Whether to save after `step` updates, of which `startStep` were done before this process began: never
   * right after a restore.
   */
  isDueAfterStep(step: number, startStep: number): boolean {
    const { everySteps, savePath } = this.#settings;
    return everySteps !== null && savePath !== null && step > startStep && step % everySteps === 0;
  }

  /** Everything but the path, for the checkpoint. */
  stateDict(): AutoSaverState {
    const { interval, everySteps, name, stepName, overwrite, saveOnLastEpoch, keep } = this.#settings;
    return {
      interval,
      everySteps,
      name: name.source,
      stepName: stepName.source,
      overwrite,
      saveOnLastEpoch,
      keepLast: keep.last ?? null,
      lastSavedTag: this.lastSavedTag,
      saves: this.saves,
      best: this.best,
    };
  }

  /**
   * Takes what goes on over restarts from a saved state: how many saves there were, and the best by `keep.best`. Path, names and
   * policies stay the script's, whatever the file says; what it says wrongly is left aside.
   */
  loadStateDict(state: unknown): void {
    const { saves = this.saves, best = this.best } = takenFrom(state, this.#settings.keep.best);
    this.saves = saves;
    this.best = best;
  }

  /** To be told of each checkpoint that became durable, with what was measured of it. */
  onSaved(tag: string, step: number, metrics: Readonly<Record<string, number>>): void {
    this.lastSavedTag = tag;
    this.saves++;
    const { best } = this.#settings.keep;
    this.best = best === undefined ? null : betterOf(this.best, best, metrics[best.metric], step);
  }

  #template(setting: string, value: unknown): NameTemplate {
    if (typeof value !== "string") throw new TypeError(`${setting} is a string, found ${typeName(value)}`);
    return NameTemplate.parse(value, this.#knownFields);
  }

  /** The tag for a moment. `onMissing` hears of a field that has no value then. */
  tagFor(
    moment: "epoch" | "step",
    values: Readonly<Record<string, number | undefined>>,
    onMissing: (field: string) => void,
  ): string {
    const { name, stepName } = this.#settings;
    return (moment === "epoch" ? name : stepName).expand(values, onMissing);
  }
}

function readInterval(value: unknown): number | null {
  if (value === null) return null;
  if (typeof value !== "number" || !Number.isInteger(value)) {
    throw new TypeError(`interval is an integer number of epochs or null, found ${typeName(value)}`);
  }
  if (value < -1) {
    throw new RangeError(`interval is -1 (only the last epoch), 0 (never) or more, found ${value}`);
  }
  return value === 0 ? null : value;
}

function readEverySteps(value: unknown): number | null {
  if (value === null) return null;
  if (typeof value !== "number" || !Number.isInteger(value)) {
    throw new TypeError(`everySteps is an integer number of steps or null, found ${typeName(value)}`);
  }
  if (value < 0) throw new RangeError(`everySteps is 0 (never) or more, found ${value}`);
  return value === 0 ? null : value;
}

function readSavePath(value: unknown): EngineTarget | null {
  if (value === null || value instanceof URL || isEngine(value)) return value;
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

function readExclusive(value: unknown): boolean | WriterLockOptions {
  if (typeof value === "boolean") return value;
  if (typeof value === "object" && value !== null) {
    return checkOptions<WriterLockOptions>("exclusive", value, WRITER_LOCK_OPTIONS);
  }
  throw new TypeError(`exclusive is true, false or { isOwnerDead }, found ${typeName(value)}`);
}

function readOnDiskFull(value: unknown): OnDiskFull {
  if (value === "error" || value === "pause" || value === "evictOldest") return value;
  throw new RangeError(`onDiskFull is "error", "pause" or "evictOldest", found ${JSON.stringify(value)}`);
}

/** An engine locks and looks for room as it was told when it was opened. */
function requireDirectory({ savePath, exclusive, onDiskFull }: AutoSaveSettings): void {
  if (!isEngine(savePath) || (exclusive === false && onDiskFull === "error")) return;
  const setting = exclusive === false ? "onDiskFull" : "exclusive";
  throw new TypeError(
    `${setting} is a setting for a directory, and savePath is an engine: give it to FileEngine.open()`,
  );
}

function readCode(value: unknown): ModelCode | null {
  const code = value === null ? null : asModelCode(value);
  if (code !== undefined) return code;
  throw new TypeError(`modelCode is what readModelCode() gave, or null, found ${typeName(value)}`);
}

function readBoolean(setting: string, value: unknown): boolean {
  if (typeof value !== "boolean") {
    throw new TypeError(`${setting} is true or false, found ${typeName(value)}`);
  }
  return value;
}

function readKeep(value: unknown, knownFields: readonly string[]): KeepSettings {
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
    ...last === undefined ? {} : { last },
    ...best === undefined ? {} : { best: readBest(best, knownFields) },
    ...rule === undefined ? {} : { rule },
  };
}

function readBest(best: unknown, knownFields: readonly string[]): Required<BestPolicy> {
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

function typeName(value: unknown): string {
  if (value === null) return "null";
  return typeof value === "number" ? String(value) : typeof value;
}
