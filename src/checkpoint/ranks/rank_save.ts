import { CairnError } from "../../base/errors.ts";
import type { CommitInfo } from "../engine/commit_info.ts";
import type { CommitReport, SaveOptions } from "../engine/engine.ts";
import type { FileEngine } from "../engine/file_engine.ts";
import type { FrozenCheckpoint } from "../capture/frozen_checkpoint.ts";
import type { RankSaveOptions } from "./rank_options.ts";
import type { RankState } from "./write_plan.ts";
import type { RankTalk } from "./rank_talk.ts";

/** A save that several ranks make together, as one of them makes it. */
export interface RankSave extends SaveOptions {
  readonly engine: FileEngine;
  readonly info: CommitInfo;
  readonly overwrite: boolean;
  readonly frozen: FrozenCheckpoint;
  readonly ranks: RankSaveOptions;
}

/** Such a save with what the rank says of itself, and to whom. */
export interface JoinedSave extends RankSave {
  /** Creates the checkpoint, on rank 0. Nothing is left to be done where that was before the ranks met. */
  readonly create: () => Promise<void>;
  readonly talk: RankTalk;
  readonly worldSize: number;
  readonly own: RankState;
}

/** The report with what is not right and was no reason to stop. */
export function withWarning(report: CommitReport, warning: string | undefined): CommitReport {
  if (warning === undefined) return report;
  return { ...report, warnings: [...report.warnings, new CairnError("invalid_tag", warning)] };
}
