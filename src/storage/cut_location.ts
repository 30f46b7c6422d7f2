import { refuseTilde } from "../base/options/refuse_tilde.ts";
import { nodeBuiltin } from "../base/node_builtin.ts";
import { CairnError } from "../base/errors.ts";
import { isOfOthers, localPath, refuseRemote, type Storages } from "./open_storage.ts";

/** Where a file is: what `openStorage` opens, and its name there. */
export interface FileLocation {
  readonly directory: string;
  /** May be empty, "." or "..", where the location names no file. */
  readonly name: string;
  /** The whole of it, for people. */
  readonly full: string;
}

const NOT_OF_FILES = /^(memory:|s3:\/\/)/i;

/**
 * Cuts a path of the file system, a `file:` URL, or a location in a storage of others, at its last slash.
 *
 * @throws CairnError `unsupported` where there is no file system, and for a URL of elsewhere; TypeError for a path that
 * begins with "~".
 */
export function cutLocation(location: string | URL, storages: Storages = {}): FileLocation {
  if (isOfOthers(location, storages) || NOT_OF_FILES.test(String(location))) {
    const full = String(location);
    const end = full.lastIndexOf("/");
    // Without a slash it is in the memory that has no name.
    const start = end < 0 ? full.indexOf(":") : end;
    return { directory: full.slice(0, end < 0 ? start + 1 : end), name: full.slice(start + 1), full };
  }
  const paths = nodeBuiltin("node:path");
  const urls = nodeBuiltin("node:url");
  if (paths === undefined || urls === undefined) {
    throw new CairnError(
      "unsupported",
      "This runtime has no file system; pass an engine over a MemoryStorage",
    );
  }
  refuseTilde(location);
  refuseRemote(location, storages);
  const local = localPath(location);
  const full = typeof local === "string" ? local : urls.fileURLToPath(local);
  return { directory: paths.dirname(full), name: paths.basename(full), full };
}
