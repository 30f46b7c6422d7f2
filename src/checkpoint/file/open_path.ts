import { refuseTilde } from "../../base/options/refuse_tilde.ts";
import { nodeBuiltin } from "../../base/node_builtin.ts";
import { CairnError } from "../../base/errors.ts";
import { FileStorage } from "../../storage/file_storage.ts";
import {
  isOfOthers,
  localPath,
  openStorage,
  refuseRemote,
  type Storages,
} from "../../storage/open_storage.ts";
import { Checkpoint } from "./checkpoint.ts";
import { CHECKPOINT_EXTENSION } from "./tags.ts";

/**
 * A path of the file system, or a location in a storage of others, cut in its directory and its name, which always
 * ends with ".cairn".
 */
export interface CheckpointPath {
  readonly directory: string;
  readonly fileName: string;
}

/**
 * Cuts the path of a checkpoint. ".cairn" may be left out: `runs/a/100` is `runs/a/100.cairn`.
 *
 * @param storages Those of others, whose locations are cut at the last slash.
 * @throws TypeError for an empty path; CairnError `unsupported` where there is no file system, and for a URL of
 * elsewhere.
 */
export function checkpointPath(path: string | URL, storages: Storages = {}): CheckpointPath {
  if (isOfOthers(path, storages)) {
    const text = String(path);
    const end = text.lastIndexOf("/");
    return { directory: text.slice(0, Math.max(0, end)), fileName: fileNameOf(text.slice(end + 1), text) };
  }
  const paths = nodeBuiltin("node:path");
  const urls = nodeBuiltin("node:url");
  if (paths === undefined || urls === undefined) {
    throw new CairnError(
      "unsupported",
      "This runtime has no file system; pass an engine over a MemoryStorage",
    );
  }
  refuseTilde(path);
  refuseRemote(path, storages);
  const local = localPath(path);
  const full = typeof local === "string" ? local : urls.fileURLToPath(local);
  return { directory: paths.dirname(full), fileName: fileNameOf(paths.basename(full), full) };
}

/** @throws TypeError for a `base` that names no file. */
function fileNameOf(base: string, full: string): string {
  if (base === "" || base === "." || base === "..") {
    throw new TypeError(
      `${JSON.stringify(full)} names no checkpoint; expected a path such as "checkpoints/100.cairn"`,
    );
  }
  return base.endsWith(CHECKPOINT_EXTENSION) ? base : base + CHECKPOINT_EXTENSION;
}

/**
 * Opens a checkpoint anywhere in the file system, or in a storage of others. The caller closes it.
 *
 * @throws CairnError `not_found`, or what is wrong with the file.
 */
export async function openCheckpoint(
  path: string | URL,
  signal?: AbortSignal,
  storages: Storages = {},
): Promise<Checkpoint> {
  const { directory, fileName } = checkpointPath(path, storages);
  const storage = isOfOthers(path, storages)
    ? await openStorage(directory, storages)
    : await FileStorage.open(directory);
  return await Checkpoint.open(storage, fileName, fileName.slice(0, -CHECKPOINT_EXTENSION.length), signal);
}
