import { CairnError } from "../../base/errors.ts";
import type { CommitInfo } from "../engine/commit_info.ts";
import type { CommitReport, SaveOptions } from "../engine/engine.ts";
import type { FileEngine } from "../engine/file_engine.ts";
import type { FrozenCheckpoint } from "../capture/frozen_checkpoint.ts";
import type { RankExchange } from "./rank_exchange.ts";
import type { RankSaveOptions } from "./rank_options.ts";
import type { RankState } from "./rank_plan.ts";

/** A save that several ranks make together, as one of them makes it. */
export interface RankSave extends SaveOptions {
  readonly engine: FileEngine;
  readonly info: CommitInfo;
  readonly overwrite: boolean;
  readonly frozen: FrozenCheckpoint;
  readonly ranks: RankSaveOptions;
}

/** Such a save with what the rank says of itself, and where. */
export interface JoinedSave extends RankSave {
  readonly exchange: RankExchange;
  readonly own: RankState;
}

/** Names of messages. All but the first are of one session, and those of single ranks end with the rank. */
export const MESSAGE = {
  call: "call",
  hello: (session: string, rank: number): string => `${session}-hello-${rank}`,
  plan: (session: string): string => `${session}-plan`,
  done: (session: string, rank: number): string => `${session}-done-${rank}`,
  givenUp: (session: string): string => `${session}-failed`,
} as const;

/** The report with what is not right and was no reason to stop. */
export function withWarning(report: CommitReport, warning: string | undefined): CommitReport {
  if (warning === undefined) return report;
  return { ...report, warnings: [...report.warnings, new CairnError("invalid_tag", warning)] };
}
