import { ownProcessMark, stateOfProcess } from "../../base/process_mark.ts";
import { TEMPORARY_PREFIX } from "../../storage/durable_file.ts";
import { namesIn } from "../../storage/names_in.ts";
import type { Storage } from "../../storage/storage.ts";
import { joinPath } from "../../storage/storage_path.ts";

/** A temporary file whose writer is unknown counts as dead when it was not written to for this long. */
export const STALE_TEMPORARY_MS: number = 24 * 60 * 60 * 1000;

/** Where a process cannot be told from others. */
const NO_PROCESS = "0".repeat(72);
const PROCESS_PART = /-([0-9a-f]{72})-/;

/**
 * The random part of a temporary name: the run and the process that own it, and what is random. Always of the same
 * length.
 */
export function temporaryName(runId: string, randomHex: string): string {
  return `${runId}-${ownProcessMark() ?? NO_PROCESS}-${randomHex}`;
}

/** Who clears away. */
export interface LeftoversOwner {
  readonly runId: string;
  readonly nowMs: number;
  /** Names of the temporary files that this run is writing. */
  readonly inUse: ReadonlySet<string>;
}

/**
 * Removes temporary files that no process writes any more. A name says which process writes it: on the same machine,
 * files of a killed process go at once, whichever run it was, and files of a living one stay, however old they are.
 * Of this process, files of the own run that are not in use are those of saves that failed.
 *
 * Where that is unknown (another machine, another boot, no Linux), a file stays until it was not written to for a
 * day. If its writer is alive after all, its save fails, and no checkpoint is lost. A file that cannot be removed
 * stays.
 *
 * @param names What is in the directory, where that is known already.
 */
export async function removeLeftovers(
  storage: Storage,
  directory: string,
  owner: LeftoversOwner,
  names?: readonly string[],
): Promise<void> {
  const processMark = ownProcessMark();
  const isTemporary = (name: string): boolean => name.startsWith(TEMPORARY_PREFIX) && !owner.inUse.has(name);
  const temporary = new Set((names ?? await namesIn(storage, directory)).filter(isTemporary));
  if (temporary.size === 0) return;
  // Only these are looked at, however many checkpoints there are.
  for (
    const { name, kind, modifiedMs } of await storage.list(directory, { only: (name) => temporary.has(name) })
  ) {
    if (kind !== "file" || !temporary.has(name)) continue;
    if (!isDead(name, modifiedMs, owner, processMark)) continue;
    await storage.remove(joinPath(directory, name)).catch(() => {});
  }
}

function isDead(
  name: string,
  modifiedMs: number,
  { runId, nowMs }: LeftoversOwner,
  processMark: string | undefined,
): boolean {
  const isOwnRun = name.startsWith(TEMPORARY_PREFIX + runId);
  const mark = PROCESS_PART.exec(name)?.[1] ?? NO_PROCESS;
  if (mark === processMark) return isOwnRun;
  const state = stateOfProcess(mark);
  if (state !== "unknown") return state === "dead";
  // Without a mark it is from where there are none, and there a run lives in one process.
  if (mark === NO_PROCESS && isOwnRun) return true;
  return modifiedMs < nowMs - STALE_TEMPORARY_MS;
}
