import type { Storage } from "../../storage/storage.ts";
import { CairnError } from "../../base/errors.ts";
import { joinPath } from "../../storage/storage_path.ts";
import { writeDurably } from "../../storage/write_durably.ts";
import { checkTag } from "../file/tags.ts";

/** Name of the file that says which checkpoint was the newest when it was written. */
export const LATEST_FILE = "latest";

const MAX_HINT_BYTES = 256;

/**
 * Writes the tag into the file `latest`, by the same durable protocol as a checkpoint. Only ever after that is durable.
 *
 * @param randomName For the temporary file.
 */
export async function writeLatestHint(
  storage: Storage,
  directory: string,
  tag: string,
  randomName: string,
): Promise<void> {
  const path = joinPath(directory, LATEST_FILE);
  await writeDurably(storage, path, { overwrite: true, randomName }, async (file) => {
    await file.write(new TextEncoder().encode(`${tag}\n`));
  });
}

/**
 * As {@link writeLatestHint}, for a checkpoint that is durable anyway: what went wrong is given back and not thrown.
 */
export async function moveLatestHint(
  ...hint: Parameters<typeof writeLatestHint>
): Promise<CairnError[]> {
  try {
    await writeLatestHint(...hint);
    return [];
  } catch (error) {
    if (error instanceof CairnError) return [error];
    throw error;
  }
}

/**
 * The tag in the file `latest`, or `undefined` when there is no such file or no tag in it. It is only a hint: the
 * checkpoint may be gone or damaged, and there may be a newer one.
 */
export async function readLatestHint(storage: Storage, directory: string): Promise<string | undefined> {
  try {
    const reader = await storage.openRead(joinPath(directory, LATEST_FILE));
    try {
      const buffer = new Uint8Array(MAX_HINT_BYTES);
      const count = await reader.read(0, buffer);
      return checkTag(new TextDecoder().decode(buffer.subarray(0, count)).trim());
    } finally {
      await reader.close();
    }
  } catch (error) {
    if (error instanceof CairnError) return undefined;
    throw error;
  }
}
