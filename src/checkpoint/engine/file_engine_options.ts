import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { type Coding, CODING_OPTIONS } from "../../container/write/coding.ts";
import type { TensorSpec } from "../../container/format/layout.ts";
import type { PartList, PartRecord } from "../../container/format/part_list.ts";
import type { Storages } from "../../storage/open_storage.ts";
import { checkDirectoryPath } from "../../storage/storage_path.ts";
import { DISK_SPACE_OPTIONS, type DiskSpaceOptions } from "./disk_space.ts";
import { SAVE_OPTIONS, type SaveOptions } from "./engine.ts";
import { checkComponents, type Components, type PartPlan } from "../file/parts/components.ts";
import { checkRunId } from "../file/run_id.ts";
import { WRITER_LOCK_OPTIONS, type WriterLockOptions } from "./lock/writer_lock_options.ts";

/** Options of {@link FileEngine.open}. All have defaults. */
export interface FileEngineOptions extends Coding, DiskSpaceOptions {
  /** Storages of others by scheme, as in `{ s3: (location) => … }`, for a target such as `s3://bucket/runs/a`. */
  readonly storages?: Storages | undefined;
  /** Directory inside the storage; its root unless given. */
  readonly directory?: string | undefined;
  /** Which run this is: 32 hexadecimal digits. A new random one unless given. */
  readonly runId?: string | undefined;
  /**
   * Which components of a store get a file of their own: `true` for all of them, or names such as
   * `["model", "optimizer"]`. A checkpoint is still committed as one. Ranks that save together have a part each
   * instead. Default false: one file.
   */
  readonly components?: Components | undefined;
  /** Read back the first checkpoint and then every Nth before it is published; 0 never. Default 10. */
  readonly verifyEvery?: number | undefined;
  /**
   * Whether this engine has to be the only one that writes to its directory, from the first `create` to `cleanup` or
   * the end of the process; see `WriterLock`. Default false: two engines cannot mix a checkpoint anyway, and one that
   * was forgotten would lock its own process out. Of ranks that save together the first one holds the lock, and the
   * others write under it.
   */
  readonly exclusive?: boolean | WriterLockOptions | undefined;
  /** The clock, in milliseconds since 1970. */
  readonly now?: (() => number) | undefined;
  /** Source of randomness for file ids and temporary names. */
  readonly random?: ((byteLength: number) => Uint8Array) | undefined;
}

/** Every option of {@link FileEngineOptions}. */
export const FILE_ENGINE_OPTIONS: OptionNames<FileEngineOptions> = {
  ...DISK_SPACE_OPTIONS,
  storages: true,
  directory: true,
  runId: true,
  components: true,
  ...CODING_OPTIONS,
  verifyEvery: true,
  exclusive: true,
  now: true,
  random: true,
};

/** Options of {@link FileEngine.save}. */
export interface FileSaveOptions extends SaveOptions {
  /**
   * For the first of several ranks.
   *
   * @internal
   */
  readonly ranks?: {
    /** Its own part. */
    readonly part: PartPlan;
    /** The tensors of each file of the checkpoint, whichever rank writes it: there has to be space for all of them. */
    readonly files: readonly (readonly TensorSpec[])[];
    /** Called when there is space, before anything is written: from then on the other ranks write. */
    readonly begin: () => Promise<void>;
    /** Resolves to the list of all ranks' parts when those are durable, given the own ones. */
    readonly completeParts: (own: readonly PartRecord[]) => Promise<PartList>;
  };
}

/** Every option of {@link FileSaveOptions}. */
export const FILE_SAVE_OPTIONS: OptionNames<FileSaveOptions> = { ...SAVE_OPTIONS, ranks: true };

/** @throws TypeError for unknown options and invalid values; RangeError. */
export function checkFileEngineOptions(options: FileEngineOptions): void {
  checkOptions("FileEngine.open()", options, FILE_ENGINE_OPTIONS);
  const { directory = "", runId, components = false, exclusive } = options;
  if (typeof exclusive === "object") checkOptions("exclusive", exclusive, WRITER_LOCK_OPTIONS);
  checkDirectoryPath(directory);
  if (runId !== undefined) checkRunId(runId);
  checkComponents(components);
}
