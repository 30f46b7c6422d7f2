import { CairnError } from "../base/errors.ts";
import { FileStorage } from "./file_storage.ts";
import { MemoryStorage } from "./memory_storage.ts";
import type { Storage } from "./storage.ts";

/** Two letters at least: `C:` is a drive. And two slashes, but for the two schemes that are known without them. */
const SCHEME = /^(?:([a-z][a-z0-9+.-]+):\/\/|(file|memory):)/i;

/** What was opened as `memory:name`, so that the same name is the same storage for the whole life of the process. */
const namedMemory = new Map<string, MemoryStorage>();

/**
 * The storage that a path or a URL names: a directory of the file system for a path or `file:`, and for `memory:name` one in the
 * memory of this process, the same for the same name.
 *
 * @throws CairnError `unsupported` that names the scheme for `gs:`, `s3:`, `hdfs:` and every other; TypeError for an empty path.
 */
export async function openStorage(location: string | URL): Promise<Storage> {
  const text = String(location);
  const scheme = schemeOf(text);
  if (scheme === undefined) return await FileStorage.open(location);
  if (scheme === "file") return await FileStorage.open(fileUrl(text));
  refuseRemote(text);
  const name = text.slice("memory:".length).replace(/^\/+|\/+$/g, "");
  const known = namedMemory.get(name);
  if (known !== undefined) return known;
  const storage = new MemoryStorage();
  namedMemory.set(name, storage);
  return storage;
}

/**
 * Throws what {@link openStorage} throws for a scheme that it does not know, and does nothing for all else.
 *
 * @throws CairnError `unsupported`.
 */
export function refuseRemote(location: string | URL): void {
  const text = String(location);
  const scheme = schemeOf(text);
  if (scheme === undefined || scheme === "file" || scheme === "memory") return;
  throw new CairnError(
    "unsupported",
    `Cannot open "${text.slice(0, 200)}": there is no storage for ${scheme}:// yet; ` +
      "use a path or a file: URL, memory:name, or a Storage of your own",
    { details: { path: text, value: scheme } },
  );
}

/** The path in text that may be a `file:` URL. */
export function localPath(location: string | URL): string | URL {
  return typeof location === "string" && schemeOf(location) === "file" ? fileUrl(location) : location;
}

function schemeOf(text: string): string | undefined {
  const [, withSlashes, known] = SCHEME.exec(text) ?? [];
  return (withSlashes ?? known)?.toLowerCase();
}

function fileUrl(text: string): URL {
  try {
    return new URL(text);
  } catch (cause) {
    throw new TypeError(`${JSON.stringify(text)} is no file: URL; expected one such as "file:///runs/a"`, {
      cause,
    });
  }
}
