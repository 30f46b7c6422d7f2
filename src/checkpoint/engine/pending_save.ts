import type { Provenance } from "../../container/format/manifest.ts";
import type { CommitInfo } from "./commit_info.ts";
import type { FrozenCheckpoint } from "../capture/frozen_checkpoint.ts";
import type { StagedCheckpoint } from "./staged_checkpoint.ts";

/** A checkpoint that an engine makes, from its name to its commit. */
export interface PendingSave {
  readonly info: CommitInfo;
  readonly overwrite: boolean;
  /** Whether the engine knows what is there. */
  readonly hasLooked?: boolean;
  saved?: {
    readonly staged: StagedCheckpoint;
    readonly frozen: FrozenCheckpoint;
    readonly provenance: Provenance;
  };
}
