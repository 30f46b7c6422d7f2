import type { Storage } from "../../storage/storage.ts";
import { CairnError } from "../../base/errors.ts";
import { joinPath } from "../../storage/storage_path.ts";
import { fileNameOf } from "../file/tags.ts";

/**
 * Refuses a tag that is taken, and one that would be the same file as another on a system that ignores case.
 *
 * @throws CairnError `already_exists`.
 */
export function refuseTwins(
  storage: Storage,
  directory: string,
  { names, tag, overwrite }: {
    readonly names: readonly string[];
    readonly tag: string;
    readonly overwrite: boolean;
  },
): void {
  const name = fileNameOf(tag);
  for (const other of names) {
    if (other.toLowerCase() !== name.toLowerCase() || (other === name && overwrite)) continue;
    const path = storage.describe(joinPath(directory, other));
    const advice = other === name
      ? "choose another tag, or pass overwrite to replace it"
      : "choose another tag";
    throw new CairnError(
      "already_exists",
      `Cannot create checkpoint "${tag}": "${path}" exists already; ${advice}`,
      {
        details: { op: "create", tag, path },
      },
    );
  }
}
