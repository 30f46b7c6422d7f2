import { CairnError } from "../../base/errors.ts";
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

/**
 * What `open` makes of the file `path`, which it closes from then on. Where that fails, the file is closed, and the
 * error says which file it was.
 */
export async function withSource<Opened>(
  storage: Storage,
  path: string,
  open: (source: FileSource) => Promise<Opened>,
): Promise<Opened> {
  const source = await openSource(storage, path);
  try {
    return await open(source);
  } catch (error) {
    await source.close();
    if (!(error instanceof CairnError)) throw error;
    const full = storage.describe(path);
    throw new CairnError(error.code, `Cannot open "${full}": ${error.message}`, {
      details: { ...error.details, path: full },
      cause: error,
    });
  }
}
