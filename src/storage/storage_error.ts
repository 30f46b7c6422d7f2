import { CairnError, type CairnErrorCode } from "../base/errors.ts";
import { hostErrorCode, isDeniedByDeno } from "./host_error.ts";

interface Explanation {
  readonly code: CairnErrorCode;
  readonly found: string;
  readonly advice: string;
}

const EXPLANATIONS: Readonly<Record<string, Explanation>> = {
  ENOENT: { code: "not_found", found: "there is no such file", advice: "check the path" },
  EEXIST: { code: "already_exists", found: "it exists already", advice: "choose another name" },
  ENOSPC: { code: "disk_full", found: "the disk is full", advice: "free some space or write elsewhere" },
  EDQUOT: {
    code: "disk_full",
    found: "the disk quota is used up",
    advice: "free some space or write elsewhere",
  },
  EACCES: failed("permission was denied", "check who owns it and its mode"),
  EPERM: failed("the operation is not permitted", "check who owns it and its mode"),
  EROFS: failed("the file system is read-only", "write elsewhere or mount it for writing"),
  EIO: failed("the disk reported an input/output error", "check the disk; nothing older was touched"),
  ELOOP: failed("it is a symbolic link, which is not followed", "use the path that it points to"),
  EISDIR: failed("it is a directory", "name a file"),
  ENOTDIR: failed("a part of the path is not a directory", "check the path"),
  EMFILE: failed("too many files are open", "close some or raise the limit (ulimit -n)"),
  ENFILE: failed("too many files are open in the whole system", "close some"),
  ESTALE: failed("the network file system lost the file", "mount it again and retry"),
  EXDEV: failed("source and target are on different file systems", "keep one run on one file system"),
  ENAMETOOLONG: failed("the name is too long for this file system", "choose a shorter one"),
};

/**
 * The {@link CairnError} for a failed file operation: the host's error is its `cause`, and its message says what was
 * being done, what was found and what to do.
 *
 * @param op What was being done, as a verb: "write", "sync", "move".
 * @param path The full name, as a reader knows it.
 */
export function storageError(op: string, path: string, cause: unknown): CairnError {
  if (cause instanceof CairnError) return cause;
  const code = hostErrorCode(cause);
  const explanation = isDeniedByDeno(cause)
    ? failed("Deno denied it", "run with --allow-read and --allow-write for this path")
    : EXPLANATIONS[code] ?? failed(cause instanceof Error ? cause.message : String(cause), "see the cause");
  const suffix = code === "" ? "" : ` (${code})`;
  const message = `Cannot ${op} "${path}": ${explanation.found}${suffix}; ${explanation.advice}`;
  return new CairnError(explanation.code, message, { details: { op, path }, cause });
}

function failed(found: string, advice: string): Explanation {
  return { code: "storage_failed", found, advice };
}
