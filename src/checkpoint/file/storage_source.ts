import type { ByteSink } from "../../container/source.ts";
import type { Storage } from "../../storage/storage.ts";
import { FileSource } from "../../storage/file_source.ts";
import { Breather } from "../../base/event_loop.ts";

/**
 * The file `path` as a source for a container reader, which closes it. Reading gives the event loop air.
 *
 * @throws CairnError `not_found`, or `storage_failed` for what is no plain file.
 */
export async function openSource(storage: Storage, path: string): Promise<FileSource> {
  return new FileSource(await storage.openRead(path), storage.describe(path));
}

/** `sink`, with air for the event loop after each write: a container writer compresses a chunk between two of them. */
export function breathingSink(sink: ByteSink): ByteSink {
  const breather = new Breather();
  return {
    write: async (bytes, crc) => {
      await sink.write(bytes, crc);
      await breather.breathe();
    },
  };
}
