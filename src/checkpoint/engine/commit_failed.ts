import { CairnError } from "../../base/errors.ts";
import type { CommitInfo } from "./commit_info.ts";

/** The error of a checkpoint that cannot be made, because of what was called before or was not. */
export function commitFailed(info: CommitInfo, why: string, op = "commit"): CairnError {
  return new CairnError("commit_failed", `Cannot ${op} ${info}: ${why}`, { details: { op, tag: info.tag } });
}

/** Why another checkpoint cannot be begun yet. */
export function notCommitted(info: CommitInfo): string {
  return `${info} was saved and not committed; commit it or call abort() first`;
}
