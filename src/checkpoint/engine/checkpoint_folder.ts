import { CairnError } from "../../base/errors.ts";
import type { Storage } from "../../storage/storage.ts";

/** The directory beside the checkpoints that damaged ones are moved into. */
export const DAMAGED_DIRECTORY = "damaged";

/** The directory beside the checkpoints that the leases of readers lie in, one file `<tag>@<random>.lease` each. */
export const LEASE_DIRECTORY = "leases";

/** The directory of a storage that checkpoints lie in, for the small files beside them: leases, marks, counters. */
export interface CheckpointFolder {
  /** The storage that the directory is in. */
  readonly storage: Storage;
  /** Path in that storage; `""` is its root. */
  readonly directory: string;
}

/** The first folder of an engine. @throws CairnError `unsupported` for one that has none. */
export function requireFolder(
  { name, folders: [folder] }: { readonly name: string; readonly folders: readonly CheckpointFolder[] },
): CheckpointFolder {
  if (folder !== undefined) return folder;
  throw new CairnError(
    "unsupported",
    `The engine "${name}" does not say in which storage its checkpoints lie; give it the field folders`,
  );
}
