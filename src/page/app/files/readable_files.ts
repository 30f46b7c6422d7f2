import { CairnError } from "../../../base/errors.ts";
import type { Storage, StorageReader } from "../../../storage/storage.ts";

/** Files that can only be read, and are found by their names. */
export interface ReadableFiles {
  /** @throws CairnError `not_found`, or what went wrong. */
  openRead(path: string): Promise<StorageReader>;
  /**
   * All bytes of a growing file from `offset` on, or "shorter" where there are not even so many.
   */
  readFrom(path: string, offset: number, signal: AbortSignal): Promise<Uint8Array | "shorter">;
}

/** Files as a storage, so that checkpoints are opened by what opens them everywhere. Whatever writes is refused. */
export function readOnlyStorage(files: ReadableFiles): Storage {
  const refuse = (): Promise<never> =>
    Promise.reject(new CairnError("unsupported", "This page only reads files; nothing was changed"));
  return {
    describe: (path) => path,
    openRead: (path) => files.openRead(path),
    list: () => Promise.resolve([]),
    makeDirectory: refuse,
    createExclusive: refuse,
    move: refuse,
    remove: refuse,
    syncDirectory: refuse,
    freeBytes: () => Promise.resolve(undefined),
  };
}
