import { CairnError } from "../../base/errors.ts";
import type { SkippedCheckpoint } from "../engine/catalog.ts";

/**
 * Throws what kept files from being read, such as a permission or the disk. Called where nothing sound was found:
 * otherwise the run would begin anew although it has checkpoints.
 *
 * @throws CairnError `storage_failed`.
 */
export function requireReadable(skipped: readonly SkippedCheckpoint[]): void {
  const unread = skipped.filter(({ error }) => error.code === "storage_failed");
  const [first] = unread;
  if (first === undefined) return;
  const others = unread.length === 1 ? "" : `; ${unread.length - 1} more cannot be read either`;
  throw new CairnError(
    "storage_failed",
    `There may be a checkpoint, and it cannot be read: ${first.reason}${others}`,
    { details: { tag: first.tag, path: first.path, value: unread.length }, cause: first.error },
  );
}

/** For the end of a message: how many files could not be opened, and why the first one could not. */
export function unopenedNote(unreadable: readonly SkippedCheckpoint[]): string {
  const [first] = unreadable;
  if (first === undefined) return "";
  return `; ${unreadable.length} ${
    unreadable.length === 1 ? "file" : "files"
  } could not be opened: ${first.reason}`;
}
