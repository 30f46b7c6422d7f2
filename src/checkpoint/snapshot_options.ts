import { type Work, WORK_OPTIONS } from "../base/work.ts";
import type { OptionNames } from "../base/options/options.ts";
import {
  BACKGROUND_SAVER_OPTIONS,
  type BackgroundSaveOptions,
  type BackgroundSaverOptions,
} from "./background_saver.ts";
import type { StoredDType } from "./capture/cast_tensors.ts";
import { FILE_ENGINE_OPTIONS, type FileEngineOptions } from "./engine/file_engine_options.ts";
import { PARTIAL_LOAD_OPTIONS, type PartialLoadOptions } from "./restore/partial_load_options.ts";
import type { ModelCode } from "./capture/model_code.ts";

/** Options of `Snapshot`: those of the engine, used when it is given a directory, of the saver, and of each save. */
export interface SnapshotOptions
  extends FileEngineOptions, BackgroundSaverOptions, Omit<BackgroundSaveOptions, "signal" | "onProgress"> {
  /** As what each tensor of the store is written, such as `({ dtype }) => dtype === "f32" ? "bf16" : undefined`. */
  readonly storedDType?: StoredDType | undefined;
  /** Code of the model to keep in each checkpoint; see `readModelCode`. */
  readonly modelCode?: ModelCode | undefined;
}

/** Every option of {@link SnapshotOptions}. */
export const SNAPSHOT_OPTIONS: OptionNames<SnapshotOptions> = {
  ...FILE_ENGINE_OPTIONS,
  ...BACKGROUND_SAVER_OPTIONS,
  overwrite: true,
  keep: true,
  onWait: true,
  storedDType: true,
  modelCode: true,
};

/** Options of `Snapshot.restore`: which tensors, how they are made to fit, or to try it first. */
export interface RestoreOptions extends PartialLoadOptions, Work {
  /** Whether everything that is asked for has to be there and fit. Default true. */
  readonly strict?: boolean | undefined;
}

/** Every option of {@link RestoreOptions}. */
export const RESTORE_OPTIONS: OptionNames<RestoreOptions> = {
  ...PARTIAL_LOAD_OPTIONS,
  strict: true,
  ...WORK_OPTIONS,
};
