import { bytesAsHex } from "../../base/hex.ts";
import { DATA_OFFSET, parseHeader } from "../../container/format/header.ts";
import { CairnError } from "../../base/errors.ts";
import { TEMPORARY_PREFIX } from "../../storage/durable_file.ts";
import type { Storage } from "../../storage/storage.ts";
import { directoryOf, joinPath } from "../../storage/storage_path.ts";
import { openSource } from "./storage_source.ts";

/** Options of {@link removeDurably}. */
export interface RemoveDurablyOptions {
  /** For the name that the file has until it is gone. */
  readonly randomName: string;
  /** Asked when the file has lost its name and not its bytes: `false` gives it back. */
  readonly confirm?: (() => Promise<boolean>) | undefined;
  /** Only the file with this id. */
  readonly fileId?: string | undefined;
}

/**
 * Removes a file in the order that no crash can spoil: it loses its name, that is made durable, and then its bytes
 * go. What a crash leaves is a temporary file like that of a save that was never finished.
 *
 * @returns Whether it is gone; `false` after a `confirm` that said no.
 * @throws CairnError `not_found`, also for another file than that of `fileId`; `storage_failed`, and then the file
 * may be under its name or under the temporary one.
 */
export async function removeDurably(
  storage: Storage,
  path: string,
  { randomName, confirm, fileId }: RemoveDurablyOptions,
): Promise<boolean> {
  const directory = directoryOf(path);
  await requireFile(storage, path, path, fileId);
  const temporary = joinPath(directory, TEMPORARY_PREFIX + randomName);
  await storage.move(path, temporary, { replace: false });
  try {
    // It cannot be replaced any more.
    await requireFile(storage, temporary, path, fileId);
    await storage.syncDirectory(directory);
    if (confirm !== undefined && !await confirm()) {
      await putBack(storage, temporary, path);
      return false;
    }
  } catch (error) {
    // Whether it may go is not known: it stays.
    await putBack(storage, temporary, path).catch(() => {});
    throw error;
  }
  await storage.remove(temporary).catch((error: unknown) => {
    // Another process removed it as a leftover.
    if (!(error instanceof CairnError && error.code === "not_found")) throw error;
  });
  return true;
}

/** @throws CairnError `not_found` for another file than the one that is meant. */
async function requireFile(
  storage: Storage,
  at: string,
  path: string,
  fileId: string | undefined,
): Promise<void> {
  if (fileId === undefined) return;
  const found = await readFileId(storage, at);
  if (found === fileId) return;
  const full = storage.describe(path);
  throw new CairnError(
    "not_found",
    `Cannot remove "${full}": another file has that name by now, with the id ${found}, expected ${fileId}; it stays`,
    { details: { op: "remove", path: full, value: found } },
  );
}

async function readFileId(storage: Storage, path: string): Promise<string> {
  const source = await openSource(storage, path);
  try {
    const bytes = new Uint8Array(Math.min(DATA_OFFSET, source.byteLength));
    await source.read(0, bytes);
    return bytesAsHex(parseHeader(bytes).fileId);
  } finally {
    await source.close();
  }
}

async function putBack(storage: Storage, temporary: string, path: string): Promise<void> {
  await storage.move(temporary, path, { replace: false });
  await storage.syncDirectory(directoryOf(path));
}
