import { CairnError } from "../../base/errors.ts";
import { fileIdOfPart, PARTS_DIRECTORY } from "../../checkpoint/file/parts/part_files.ts";
import { hostErrorCode } from "../../storage/host_error.ts";
import type { Storage, StorageEntry } from "../../storage/storage.ts";
import { directoryOf, joinPath, nameOf } from "../../storage/storage_path.ts";
import { isShownFile } from "../shown_files.ts";

/** What a server gives out: a directory with all that is below it, or one file of it. */
export interface Served {
  readonly storage: Storage;
  /** The only file, besides the parts that it may have. */
  readonly file?: string | undefined;
}

/** A file that the page may ask for. */
export interface ListedFile {
  /** From the directory that is served, with "/" between segments. */
  readonly path: string;
  readonly byteLength: number;
  readonly modifiedMs: number;
}

/** The files that the page may ask for. */
export interface Listing {
  readonly files: readonly ListedFile[];
  /** Whether there are more, which were left out. */
  readonly isCut: boolean;
}

const MAX_FILES = 5_000;
const MAX_DIRECTORIES = 2_000;
const MAX_DEPTH = 8;
const NO_DIRECTORY: ReadonlySet<string> = new Set(["ELOOP", "ENOTDIR"]);

/** Lists what is served, in order of path. Hidden files, links, and what the page cannot show are left out. */
export async function listServed(served: Served): Promise<Listing> {
  const files: ListedFile[] = [];
  const waiting = [{ directory: "", depth: 0 }];
  let isCut = false;
  for (let looked = 0; waiting.length > 0; looked++) {
    if (looked === MAX_DIRECTORIES || files.length >= MAX_FILES) {
      isCut = true;
      break;
    }
    const { directory, depth } = waiting.shift() ?? { directory: "", depth: 0 };
    for (const entry of await entriesOf(served.storage, directory)) {
      const path = joinPath(directory, entry.name);
      if (entry.kind === "directory" && isEntered(served, directory, entry.name)) {
        if (depth < MAX_DEPTH) waiting.push({ directory: path, depth: depth + 1 });
        else isCut = true;
      } else if (entry.kind === "file" && isServed(served, path)) {
        files.push({ path, byteLength: entry.byteLength, modifiedMs: entry.modifiedMs });
      }
    }
  }
  return { files: files.slice(0, MAX_FILES).sort(byPath), isCut: isCut || files.length > MAX_FILES };
}

/** The entry of a file that is served, or `undefined` where there is none. */
export async function findServed(served: Served, path: string): Promise<StorageEntry | undefined> {
  if (!isServed(served, path)) return undefined;
  const name = nameOf(path);
  try {
    const entries = await served.storage.list(directoryOf(path), { only: (each) => each === name });
    return entries.find((entry) => entry.name === name && entry.kind === "file");
  } catch (error) {
    // A link or a file where the path has a directory.
    if (error instanceof CairnError && NO_DIRECTORY.has(hostErrorCode(error.cause))) return undefined;
    throw error;
  }
}

function isServed({ file }: Served, path: string): boolean {
  if (path.split("/").some(isHidden) || !isShownFile(path)) return false;
  return file === undefined || path === file || isPart(path);
}

/** Of one file that is served by itself, only its parts' directory. */
function isEntered({ file }: Served, directory: string, name: string): boolean {
  if (file !== undefined) return directory === "" && name === PARTS_DIRECTORY;
  return !isHidden(name) && name !== "node_modules";
}

/** Whose parts they are stands in the checkpoint, which the page reads. */
function isPart(path: string): boolean {
  return directoryOf(path) === PARTS_DIRECTORY && fileIdOfPart(nameOf(path)) !== undefined;
}

function isHidden(name: string): boolean {
  return name.startsWith(".");
}

/** A directory may be gone, or be none that this process may read: the others are listed all the same. */
async function entriesOf(storage: Storage, directory: string): Promise<readonly StorageEntry[]> {
  try {
    return await storage.list(directory, { only: (name) => !isHidden(name) });
  } catch (error) {
    if (error instanceof CairnError && directory !== "") return [];
    throw error;
  }
}

function byPath(a: ListedFile, b: ListedFile): number {
  return a.path < b.path ? -1 : 1;
}
