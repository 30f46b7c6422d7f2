import { CairnError } from "../../base/errors.ts";
import type { CommitInfo } from "./commit_info.ts";

/** The error of a checkpoint that cannot be made because of the order of the calls. */
export function commitFailed(info: CommitInfo, why: string, op = "commit"): CairnError {
  return new CairnError("commit_failed", `Cannot ${op} ${info}: ${why}`, { details: { op, tag: info.tag } });
}

/** The error of a `save` that no `create` came before. */
export function nothingCreated(): CairnError {
  return new CairnError("commit_failed", "Cannot save: call create() with the checkpoint's tag first", {
    details: { op: "save" },
  });
}

/** Why another checkpoint cannot be begun yet. */
export function notCommitted(info: CommitInfo): string {
  return `${info} was saved and not committed; commit it or call abort() first`;
}

/** @throws CairnError `commit_failed` when what is to be committed is not what was created. */
export function requireSame(created: CommitInfo, info: CommitInfo): void {
  if (!created.equals(info)) throw commitFailed(info, `${created} was created, with other fields or tag`);
}
