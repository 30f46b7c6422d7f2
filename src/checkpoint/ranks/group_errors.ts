import { CairnError } from "../../base/errors.ts";
import { listRanks } from "../file/parts/rank_view.ts";
import type { Failure } from "./failure.ts";

/** What was waited for, by whom and how long. */
export interface Waited {
  /** Such as `barrier`. */
  readonly op: string;
  readonly size: number;
  readonly timeoutMs: number;
}

/** The error when the time is up and these ranks are missing. */
export function rankMissing(ranks: readonly number[], { op, size, timeoutMs }: Waited): CairnError {
  return new CairnError(
    "rank_missing",
    `Cannot finish ${op}: ${listRanks(ranks)} of ${size} did not answer after ${timeoutMs} ms; ` +
      "look whether that process lives and is in the same group",
    { details: { op, ranks, limit: timeoutMs } },
  );
}

/** The error when this rank is waited for and has left. */
export function rankClosed(rank: number): CairnError {
  return new CairnError(
    "rank_missing",
    `Rank ${rank} has closed the group; make the same calls on every rank before closing it`,
    { details: { ranks: [rank] } },
  );
}

/** The error when this rank has ended the group. */
export function rankFailed(rank: number, { code, message }: Failure): CairnError {
  return new CairnError("rank_failed", `Rank ${rank} has ended the group: ${message}`, {
    details: { ranks: [rank] },
    cause: new CairnError(code, message),
  });
}
