import { CairnError } from "../../base/errors.ts";
import { readCatalog } from "../../checkpoint/engine/catalog.ts";
import { FileEngine } from "../../checkpoint/engine/file_engine.ts";
import { CHECKPOINT_EXTENSION } from "../../checkpoint/file/tags.ts";
import { INDEX_EXTENSION } from "../../exchange/safetensors/safetensors_shards.ts";
import { FileStorage } from "../../storage/file_storage.ts";
import { HttpStorage } from "../../storage/http_storage.ts";
import { lookUp } from "../../storage/look_up.ts";
import type { Storage } from "../../storage/storage.ts";
import { isBucket, lookUpInBucket } from "./locate_in_bucket.ts";

/** A file that was named: where it is, and how to read it and those beside it. */
export interface Place {
  readonly storage: Storage;
  /** In the storage. */
  readonly path: string;
  /** What it is called in what is printed: as it was given, or in the directory that was given. */
  readonly label: string;
}

const FOREIGN = [".safetensors", `.safetensors${INDEX_EXTENSION}`, ".npz", ".npy", ".pt", ".pth", ".bin"];

/** Whether it is an address on the web, and no path. */
export function isAddress(location: string): boolean {
  return /^https?:\/\//i.test(location);
}

/**
 * The file that `location` means: an address, a path or a location in a bucket with or without ".cairn", or a
 * directory, which stands for its newest checkpoint, or else for the one file of tensors in it.
 *
 * @throws CairnError `not_found`; `unsupported` for a directory in which no one file can be meant.
 */
export async function locate(location: string): Promise<Place> {
  if (isAddress(location)) {
    const storage = new HttpStorage(location);
    return { storage, path: storage.name, label: location };
  }
  if (isBucket(location)) {
    const { storage, path } = await lookUpInBucket(location) ?? notFound(location);
    return path === undefined ? await newestIn(storage, location) : { storage, path, label: location };
  }
  const found = await lookUp(location) ?? await lookUp(location + CHECKPOINT_EXTENSION) ?? notFound(location);
  if (found.isDirectory) return await newestIn(await FileStorage.open(found.path), location);
  return { storage: await FileStorage.open(found.directory), path: found.name, label: location };
}

/** Every file of tensors that `location` means: of a directory all that are in it, the damaged ones too. */
export async function locateAll(location: string): Promise<Place[]> {
  const storage = await directoryAt(location);
  if (storage === undefined) return [await locate(location)];
  const names = await fileNames(storage);
  if (names.length === 0) throw nothingIn(location);
  return names.map((path) => ({ storage, path, label: inside(location, path) }));
}

/** What is in the directory that `location` names; `undefined` for what is none. */
async function directoryAt(location: string): Promise<Storage | undefined> {
  if (isAddress(location)) return undefined;
  if (isBucket(location)) {
    const found = await lookUpInBucket(location);
    return found?.path === undefined ? found?.storage : undefined;
  }
  const found = await lookUp(location);
  return found?.isDirectory === true ? await FileStorage.open(found.path) : undefined;
}

/**
 * The directory of a disk that `location` names.
 *
 * @throws CairnError `not_found`; `unsupported` for an address, a bucket or a file.
 */
export async function locateDirectory(location: string): Promise<string> {
  if (isAddress(location)) {
    throw new CairnError(
      "unsupported",
      `Cannot list ${location}: a web server gives files and no lists of them; name one of its files`,
      { details: { path: location } },
    );
  }
  if (isBucket(location)) {
    throw new CairnError("unsupported", `"${location}" is in a bucket; expected a directory of a disk`, {
      details: { path: location },
    });
  }
  const found = await lookUp(location) ?? notFound(location);
  return found.isDirectory ? found.path : refuseFile(location);
}

/** A file's name behind the directory that was given. */
export function inside(directory: string, name: string): string {
  return directory.endsWith("/") ? directory + name : `${directory}/${name}`;
}

async function newestIn(storage: Storage, location: string): Promise<Place> {
  const names = await fileNames(storage);
  if (names.some((name) => name.endsWith(CHECKPOINT_EXTENSION))) {
    const { checkpoints, unreadable } = await readCatalog(await FileEngine.open(storage));
    const newest = checkpoints.at(-1);
    if (newest === undefined) {
      const [first] = unreadable;
      throw first?.error ?? nothingIn(location);
    }
    const path = newest.tag + CHECKPOINT_EXTENSION;
    return { storage, path, label: inside(location, path) };
  }
  const index = names.find((name) => name.endsWith(INDEX_EXTENSION));
  const path = index ?? names[0];
  if (path === undefined) throw nothingIn(location);
  if (index === undefined && names.length > 1) {
    throw new CairnError(
      "unsupported",
      `"${location}" has several files of tensors: ${names.slice(0, 5).join(", ")}; name one of them`,
      { details: { path: location } },
    );
  }
  return { storage, path, label: inside(location, path) };
}

/** Names of files that may hold tensors. Of a model in several files the index stands for all of them. */
async function fileNames(storage: Storage): Promise<string[]> {
  const entries = await storage.list("");
  const names = entries.filter(({ kind }) => kind === "file").map(({ name }) => name);
  const isShard = (name: string): boolean =>
    /-\d{5}-of-\d{5}\.safetensors$/.test(name) && names.some((each) => each.endsWith(INDEX_EXTENSION));
  return names.filter((name) =>
    !name.startsWith(".") && !isShard(name) &&
    [CHECKPOINT_EXTENSION, ...FOREIGN].some((ending) => name.endsWith(ending))
  );
}

/** Refuses a file where a directory has to be. */
export function refuseFile(location: string): never {
  throw new CairnError("unsupported", `"${location}" is a file; expected a directory of checkpoints`, {
    details: { path: location },
  });
}

function notFound(location: string): never {
  throw new CairnError("not_found", `There is no "${location}"`, { details: { path: location } });
}

function nothingIn(location: string): CairnError {
  return new CairnError(
    "not_found",
    `There is no checkpoint and no other file of tensors in "${location}"`,
    { details: { path: location } },
  );
}
