import { CHECKPOINT_EXTENSION } from "../../checkpoint/file/tags.ts";
import { FileStorage } from "../../storage/file_storage.ts";
import type { Storage } from "../../storage/storage.ts";
import { inside, locateDirectory, refuseFile } from "./locate.ts";
import { isBucket } from "./locate_in_bucket.ts";

/** A directory of checkpoints that was named, on a disk or in a bucket. */
export interface Folder {
  readonly storage: Storage;
  /** What it is called in what is printed. */
  readonly label: string;
  /** Those right inside of it, in order of name. */
  folders(): Promise<Folder[]>;
}

/**
 * The directory that `location` names.
 *
 * @throws CairnError `not_found`; `unsupported` for an address or a file.
 */
export async function openFolder(location: string): Promise<Folder> {
  if (isBucket(location)) return await bucketFolder(location.replace(/(?<!:\/|:)\/+$/, ""));
  return diskFolder(await FileStorage.open(await locateDirectory(location)), location);
}

function diskFolder(storage: FileStorage, label: string): Folder {
  return {
    storage,
    label,
    async folders() {
      const directories = (await storage.list("")).filter(({ kind }) => kind === "directory");
      return await Promise.all(
        directories.map(async ({ name }) =>
          diskFolder(await FileStorage.open(storage.describe(name)), inside(label, name))
        ),
      );
    },
  };
}

/** Whoever names no bucket loads nothing of them. */
async function bucketFolder(location: string): Promise<Folder> {
  if (location.endsWith(CHECKPOINT_EXTENSION)) refuseFile(location);
  const { S3Storage } = await import("../../storage/s3/s3_storage.ts");
  const storage = await S3Storage.open(location);
  return {
    storage,
    label: location,
    folders: async () =>
      await Promise.all((await storage.below()).map((name) => bucketFolder(inside(location, name)))),
  };
}
