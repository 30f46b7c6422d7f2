import type { OptionNames } from "../base/options/options.ts";
import type { SkippedCheckpoint } from "../checkpoint/engine/catalog.ts";
import type { EngineTarget } from "../checkpoint/engine/engine_target.ts";
import type { RecoverOptions } from "../checkpoint/keep/recovery.ts";
import { PARTIAL_LOAD_OPTIONS, type PartialLoadOptions } from "../checkpoint/restore/partial_load_options.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import type { RunDifference, RunSetting } from "./loop/run_identity.ts";

/** Options of `Trainer.resume`. */
export interface ResumeOptions extends Pick<RecoverOptions, "signal" | "maxFailures" | "quarantinesDamaged"> {
  /**
   * Where to look: a directory, or an engine. Default: `savePath` of `autoSave()`, which has to be called before,
   * then.
   */
  readonly directory?: EngineTarget | undefined;
  /**
   * What may differ from the saved run, because it is changed on purpose: `"optimizer"`, `"schedule"`, `"loss"`,
   * `"batchSize"`, `"data"`, `"seed"`, `"precision"`, `"numerics"`. The bits then differ from those of an undisturbed
   * run, and the checkpoints that follow say what was changed at which step. Tensors of another optimiser begin at
   * zero.
   */
  readonly allow?: readonly RunSetting[] | undefined;
}

/** Every option of {@link ResumeOptions}. */
export const RESUME_OPTIONS: OptionNames<ResumeOptions> = {
  signal: true,
  maxFailures: true,
  quarantinesDamaged: true,
  directory: true,
  allow: true,
};

/** Options of `Trainer.recover`. */
export interface RecoverRunOptions extends ResumeOptions {
  /** An open device to use, which stays the caller's. Unless given, the store opens one as it did before. */
  readonly gpu?: GpuDevice | undefined;
}

/** Every option of {@link RecoverRunOptions}. */
export const RECOVER_RUN_OPTIONS: OptionNames<RecoverRunOptions> = { ...RESUME_OPTIONS, gpu: true };

/** Options of `Trainer.load` and `Trainer.warmStart`: which tensors, how they are made to fit, or to try it first. */
export interface TrainerLoadOptions extends PartialLoadOptions {
  /**
   * True, the default: everything that is asked for has to fit. False: what fits is taken, and the report
   * says what did not.
   */
  readonly strict?: boolean | undefined;
  /** Stops loading, which then rejects with the signal's reason and leaves the run as it was. */
  readonly signal?: AbortSignal | undefined;
}

/** Every option of {@link TrainerLoadOptions}. */
export const TRAINER_LOAD_OPTIONS: OptionNames<TrainerLoadOptions> = {
  ...PARTIAL_LOAD_OPTIONS,
  strict: true,
  signal: true,
};

/** What `Trainer.resume` did. */
export interface ResumeReport {
  /** Tag of the checkpoint that the run resumed from; null for a fresh start. */
  readonly resumedFrom: string | null;
  /** Its full name. */
  readonly path: string | null;
  /** The run that it belongs to, as the file says; null where it does not. */
  readonly runId: string | null;
  /** Id of its file, which the checkpoints that follow name as their `parent`. */
  readonly fileId: string | null;
  /** Id of the file that its own process had resumed from; null where that began at step 0, or does not say. */
  readonly parent: string | null;
  /** When it was committed among those of its directory; see `Provenance.order`. Null for older files. */
  readonly order: number | null;
  /** Optimiser updates that are done. */
  readonly step: number;
  /** Newer checkpoints that are damaged or of other runs, and all that cannot be opened, with the reason. */
  readonly skipped: readonly SkippedCheckpoint[];
  /** In what this run differs from the one that was saved, as `allow` permits. */
  readonly changed: readonly RunDifference[];
  /** What may keep the bits from being the same as those of an undisturbed run; and other runs that match as well. */
  readonly warnings: readonly string[];
}
