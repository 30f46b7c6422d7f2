import { CairnError } from "../../base/errors.ts";
import { FILE_KIND_BYTES, fileKind } from "../../base/file_kind.ts";
import type { Storage } from "../../storage/storage.ts";
import { cutLocation } from "../../storage/cut_location.ts";
import { openStorage, type Storages } from "../../storage/open_storage.ts";
import { Checkpoint } from "./checkpoint.ts";
import { openSource } from "./storage_source.ts";
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
  const { directory, name, full } = cutLocation(path, storages);
  return { directory, fileName: fileNameOf(name, full) };
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
 * @throws CairnError `not_found`, or what is wrong with the file; `not_a_container` for a file of another kind, such
 * as safetensors, which says what opens it.
 */
export async function openCheckpoint(
  path: string | URL,
  signal?: AbortSignal,
  storages: Storages = {},
): Promise<Checkpoint> {
  const { directory, fileName } = checkpointPath(path, storages);
  const storage = await openStorage(directory, storages);
  const name = fileName.slice(0, -CHECKPOINT_EXTENSION.length);
  try {
    return await Checkpoint.open(storage, fileName, name, signal);
  } catch (error) {
    const isMissing = error instanceof CairnError && error.code === "not_found";
    if (isMissing && !String(path).endsWith(CHECKPOINT_EXTENSION)) await explainOther(storage, name, error);
    throw error;
  }
}

/** Throws what is to be said of the directory, or of the file of another kind, that has exactly this name. */
async function explainOther(storage: Storage, name: string, cause: CairnError): Promise<void> {
  const [entry] = await storage.list("", { only: (other) => other === name });
  const full = storage.describe(name);
  const details = { path: full };
  if (entry?.kind === "directory") {
    throw new CairnError(
      "not_found",
      `Cannot open "${full}": it is a directory; getCheckpoint() gives the path of the newest checkpoint in one`,
      { details, cause },
    );
  }
  if (entry?.kind !== "file") return;
  const source = await openSource(storage, name);
  const head = new Uint8Array(Math.min(FILE_KIND_BYTES, source.byteLength));
  try {
    await source.read(0, head);
  } finally {
    await source.close();
  }
  const kind = fileKind(head);
  const text = kind?.format === "cairn"
    ? `a checkpoint's name ends with "${CHECKPOINT_EXTENSION}"; rename it to "${name}${CHECKPOINT_EXTENSION}"`
    : `it is ${kind?.text ?? "no .cairn file"}`;
  throw new CairnError("not_a_container", `Cannot open "${full}": ${text}`, { details, cause });
}
