import type { Storage } from "../../storage/storage.ts";
import { FileSource } from "../../storage/file_source.ts";

/**
 * The file `path` as a source for a container reader, which closes it. Reading lets the event loop run.
 *
 * @throws CairnError `not_found`, or `storage_failed` for anything but a plain file.
 */
export async function openSource(storage: Storage, path: string): Promise<FileSource> {
  return new FileSource(await storage.openRead(path), storage.describe(path));
}
