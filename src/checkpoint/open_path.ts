import { nodeBuiltin } from "../base/node_builtin.ts";
import { CairnError } from "../base/errors.ts";
import { FileStorage } from "../storage/file_storage.ts";
import { localPath, refuseRemote } from "../storage/open_storage.ts";
import { Checkpoint } from "./checkpoint.ts";
import { CHECKPOINT_EXTENSION } from "./tags.ts";

/** A path of the file system, cut in its directory and its name, which always ends with ".cairn". */
export interface CheckpointPath {
  readonly directory: string;
  readonly fileName: string;
}

/**
 * Cuts the path of a checkpoint. ".cairn" may be left out: `runs/a/100` is `runs/a/100.cairn`.
 *
 * @throws TypeError for an empty path; CairnError `unsupported` where there is no file system, and for a URL of elsewhere.
 */
export function checkpointPath(path: string | URL): CheckpointPath {
  const paths = nodeBuiltin("node:path");
  const urls = nodeBuiltin("node:url");
  if (paths === undefined || urls === undefined) {
    throw new CairnError(
      "unsupported",
      "This runtime has no file system; pass an engine over a MemoryStorage",
    );
  }
  refuseRemote(path);
  const local = localPath(path);
  const full = typeof local === "string" ? local : urls.fileURLToPath(local);
  const base = paths.basename(full);
  if (base === "" || base === "." || base === "..") {
    throw new TypeError(
      `${JSON.stringify(full)} names no checkpoint; expected a path such as "checkpoints/100.cairn"`,
    );
  }
  const fileName = base.endsWith(CHECKPOINT_EXTENSION) ? base : base + CHECKPOINT_EXTENSION;
  return { directory: paths.dirname(full), fileName };
}

/**
 * Opens a checkpoint anywhere in the file system. The caller closes it.
 *
 * @throws CairnError `not_found`, or what is wrong with the file.
 */
export async function openCheckpoint(path: string | URL, signal?: AbortSignal): Promise<Checkpoint> {
  const { directory, fileName } = checkpointPath(path);
  const storage = await FileStorage.open(directory);
  return await Checkpoint.open(storage, fileName, fileName.slice(0, -CHECKPOINT_EXTENSION.length), signal);
}
