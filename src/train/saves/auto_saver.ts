import { checkOptions } from "../../base/options/options.ts";
import {
  AUTO_SAVE_OPTIONS,
  type AutoSaveOptions,
  type AutoSaveSettings,
  readBoolean,
  readCode,
  readEverySteps,
  readExclusive,
  readInterval,
  readKeep,
  readOnDiskFull,
  readSavePath,
  requireDirectory,
  typeName,
} from "./auto_save_options.ts";
import {
  type AutoSaverState,
  type BestSave,
  betterOf,
  isBetter,
  takenFrom,
} from "../loop/auto_saver_state.ts";
import { BASE_FIELDS, NameTemplate } from "./name_template.ts";

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
      saveOnError: true,
    };
    this.configure(options);
  }

  /** The settings in force, with every default filled in. */
  get settings(): AutoSaveSettings {
    return this.#settings;
  }

  /** Whether anything will ever be saved. */
  get isEnabled(): boolean {
    const { savePath, interval, everySteps } = this.#settings;
    return savePath !== null && (interval !== null || everySteps !== null || this.#savesBest);
  }

  /** Whether every validation is a moment to save. */
  get #savesBest(): boolean {
    return this.#settings.keep.best?.metric.startsWith("val_") === true;
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
      saveOnError: pick("saveOnError", (value) => readBoolean("saveOnError", value), old.saveOnError),
    };
    requireDirectory(settings);
    this.#settings = settings;
  }

  /**
   * Like {@link AutoSaver.configure}, for scripts that should train even with a wrong setting: `onWarning` gets each
   * wrong setting, which stays as it was, and a message when saving is disabled.
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
    const { interval, savePath } = this.#settings;
    if (interval === null || savePath === null) return false;
    if (interval > 0 && epoch % interval === 0) return true;
    return epoch === totalEpochs && this.savesEnd;
  }

  /** Whether the end of a run is saved whatever the interval, also within an epoch. */
  get savesEnd(): boolean {
    const { interval, savePath, saveOnLastEpoch } = this.#settings;
    return savePath !== null && (interval === -1 || (interval !== null && saveOnLastEpoch));
  }

  /**
   * Whether to save after `step` updates, of which `startStep` were done before this process began: never
   * right after a restore.
   */
  isDueAfterStep(step: number, startStep: number): boolean {
    const { everySteps, savePath } = this.#settings;
    return everySteps !== null && savePath !== null && step > startStep && step % everySteps === 0;
  }

  /**
   * Whether to save after a validation that measured `metrics`: when they are the best by `keep.best`.
   *
   * @param underWay What is being saved as the best.
   */
  isDueAfterValidation(metrics: Readonly<Record<string, number>>, underWay: BestSave | null): boolean {
    const { savePath, keep: { best } } = this.#settings;
    if (savePath === null || best === undefined || !this.#savesBest) return false;
    const value = metrics[best.metric];
    return [this.best, underWay].every((known) => isBetter(value, known, best));
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
   * Takes from a saved state what survives restarts: how many saves there were, and the best by `keep.best`. Path,
   * names and policies stay the script's, whatever the file says; invalid values are ignored.
   */
  loadStateDict(state: unknown): void {
    const { saves = this.saves, best = this.best } = takenFrom(state, this.#settings.keep.best);
    this.saves = saves;
    this.best = best;
  }

  /** To be called for each checkpoint that became durable, with its metrics. */
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

  /** The tag for a moment. `onMissing` is told of a field that has no value then. */
  tagFor(
    moment: "epoch" | "step",
    values: Readonly<Record<string, number | undefined>>,
    onMissing: (field: string) => void,
  ): string {
    const { name, stepName } = this.#settings;
    return (moment === "epoch" ? name : stepName).expand(values, onMissing);
  }
}
