import type { Storage } from "../storage/storage.ts";
import { TEMPORARY_PREFIX } from "../storage/durable_file.ts";
import { joinPath } from "../storage/storage_path.ts";

/** A temporary file of another run is taken for dead when nobody wrote to it for this long. */
export const STALE_TEMPORARY_MS: number = 24 * 60 * 60 * 1000;

/** The random part of a temporary name, which begins with the run that owns it. Always of the same length. */
export function temporaryName(runId: string, randomHex: string): string {
  return `${runId}-${randomHex}`;
}

/**
 * Removes temporary files that nobody writes any more: those of the own run, because a run lives in one process, whose
 * own open files are passed in `inUse`; and those of others that nobody touched for a day. A file that cannot be removed stays.
 */
export async function removeLeftovers(
  storage: Storage,
  directory: string,
  owner: { readonly runId: string; readonly nowMs: number; readonly inUse: ReadonlySet<string> },
): Promise<void> {
  const own = TEMPORARY_PREFIX + owner.runId;
  for (const { name, kind, modifiedMs } of await storage.list(directory)) {
    if (kind !== "file" || !name.startsWith(TEMPORARY_PREFIX) || owner.inUse.has(name)) continue;
    const isStale = modifiedMs < owner.nowMs - STALE_TEMPORARY_MS;
    if (!name.startsWith(own) && !isStale) continue;
    await storage.remove(joinPath(directory, name)).catch(() => {});
  }
}
