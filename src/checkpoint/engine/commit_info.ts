import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { checkDirectoryPath } from "../../storage/storage_path.ts";
import { checkTag } from "../file/tags.ts";

/** What {@link CommitInfo.of} takes. */
export interface CommitInfoFields {
  /** Name of the checkpoint. */
  readonly tag: string | number;
  /** Directory inside the engine's storage; `""`, the default, is the engine's own. */
  readonly saveDir?: string | undefined;
  /** Whether the hint file `latest` is to name this checkpoint. Default true. */
  readonly saveLatest?: boolean | undefined;
}

/** Every option of {@link CommitInfoFields}. */
export const COMMIT_INFO_FIELDS: OptionNames<CommitInfoFields> = {
  tag: true,
  saveDir: true,
  saveLatest: true,
};

/**
 * Which checkpoint is being made. A value: two with the same fields are equal. Follows DeepSpeed's
 * `CheckpointCommitInfo`.
 */
export class CommitInfo {
  /** Name of the checkpoint. */
  readonly tag: string;
  /** Directory inside the engine's storage; `""` is the engine's own. */
  readonly saveDir: string;
  /** Whether the hint file `latest` is to name this checkpoint. */
  readonly saveLatest: boolean;

  private constructor(tag: string, saveDir: string, saveLatest: boolean) {
    this.tag = tag;
    this.saveDir = saveDir;
    this.saveLatest = saveLatest;
  }

  /**
   * The value for a tag alone, as older engines take it, or for all fields.
   *
   * @throws CairnError `invalid_tag`; TypeError for a `saveDir` that is no path inside a storage.
   */
  static of(value: string | number | CommitInfoFields): CommitInfo {
    if (value instanceof CommitInfo) return value;
    const fields: CommitInfoFields = typeof value === "object"
      ? checkOptions("A checkpoint to be", value, COMMIT_INFO_FIELDS, '{ tag: "100" }')
      : { tag: value };
    const { tag, saveDir = "", saveLatest = true } = fields;
    checkDirectoryPath(saveDir);
    return Object.freeze(new CommitInfo(checkTag(tag), saveDir, saveLatest));
  }

  /** Whether `other` says the same. */
  equals(other: CommitInfo | null | undefined): boolean {
    return other != null && this.tag === other.tag && this.saveDir === other.saveDir &&
      this.saveLatest === other.saveLatest;
  }

  /** For messages: `"step-100"`. */
  toString(): string {
    return JSON.stringify(this.tag);
  }
}
