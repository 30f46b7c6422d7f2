import { CHECKPOINT_EXTENSION } from "../../checkpoint/file/tags.ts";
import { openStorage } from "../../storage/open_storage.ts";
import type { Storage } from "../../storage/storage.ts";

/** What a location in a bucket leads to. */
export interface InBucket {
  readonly storage: Storage;
  /** The file in it that is meant; `undefined` where the location is a directory. */
  readonly path: string | undefined;
}

const FILE = /^(s3:\/\/[^/]+(?:\/.*)?)\/([^/]+)\/*$/i;

/** Whether it is a location in a bucket. */
export function isBucket(location: string): boolean {
  return /^s3:\/\//i.test(location);
}

/**
 * What is at `location`, as a person means it: the checkpoints below it, or one of those beside it, whose ".cairn" may
 * be left out. `undefined` where nothing is.
 */
export async function lookUpInBucket(location: string): Promise<InBucket | undefined> {
  if (!location.endsWith(CHECKPOINT_EXTENSION)) {
    const storage = await openStorage(location);
    if ((await storage.list("")).length > 0) return { storage, path: undefined };
  }
  const [, directory, name = ""] = FILE.exec(location) ?? [];
  if (directory === undefined) return undefined;
  const storage = await openStorage(directory);
  const isMeant = (each: string): boolean => each === name || each === name + CHECKPOINT_EXTENSION;
  const [found] = await storage.list("", { only: isMeant });
  return found === undefined ? undefined : { storage, path: found.name };
}
