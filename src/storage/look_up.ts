import { refuseTilde } from "../base/options/refuse_tilde.ts";
import { nodeBuiltin } from "../base/node_builtin.ts";
import { CairnError } from "../base/errors.ts";

/** What a path of the file system leads to. */
export interface LookedUp {
  /** Absolute, and without links. */
  readonly path: string;
  /** The directory that it is in, and its name there. */
  readonly directory: string;
  readonly name: string;
  readonly isDirectory: boolean;
}

/**
 * What is at `path`, links followed, as a person who names a file means it; `undefined` where nothing is.
 *
 * @throws CairnError `unsupported` where there is no file system, `storage_failed`.
 */
export async function lookUp(path: string): Promise<LookedUp | undefined> {
  const fs = nodeBuiltin("node:fs");
  const paths = nodeBuiltin("node:path");
  if (fs === undefined || paths === undefined) {
    throw new CairnError("unsupported", "This runtime has no file system (node:fs)");
  }
  refuseTilde(path);
  try {
    const real = await fs.promises.realpath(path);
    const isDirectory = (await fs.promises.stat(real)).isDirectory();
    return { path: real, directory: paths.dirname(real), name: paths.basename(real), isDirectory };
  } catch (cause) {
    const { code } = cause as { code?: unknown };
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new CairnError("storage_failed", `Cannot look up "${path}": ${(cause as Error).message}`, {
      details: { path, op: "lookUp" },
      cause,
    });
  }
}
