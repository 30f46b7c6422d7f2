import { CairnError, type CairnErrorCode } from "../../base/errors.ts";
import { joinPath } from "../../storage/storage_path.ts";
import type { SkippedCheckpoint } from "../engine/catalog.ts";
import { Checkpoint } from "../file/checkpoint.ts";
import { type CheckpointFolder, DAMAGED_DIRECTORY, requireFolder } from "../engine/checkpoint_folder.ts";
import type { Engine } from "../engine/engine.ts";
import { fileNameOf } from "../file/tags.ts";

/** Codes for wrong bytes. A disk error may pass, and a newer version is not damaged. */
const DAMAGE: ReadonlySet<CairnErrorCode> = new Set([
  "not_a_container",
  "invalid_container",
  "truncated",
  "checksum_mismatch",
]);

/** What {@link quarantine} did. */
export interface QuarantineReport {
  /** Each tag that was moved, with the full name that its file has now. */
  readonly moved: readonly { readonly tag: string; readonly path: string }[];
  /** Files that could not be moved; they are where they were. */
  readonly warnings: readonly CairnError[];
}

/**
 * Moves damaged checkpoints out of the way, into the directory `damaged` beside them, and deletes nothing: some of
 * their tensors may be readable, and the cause may be of interest. Only what is certainly damaged is moved. A file
 * that turns out to be sound after the move, because another process had just replaced the damaged one, goes back.
 *
 * @param skipped What `recover` passed over.
 */
export async function quarantine(
  engine: Engine,
  skipped: readonly SkippedCheckpoint[],
): Promise<QuarantineReport> {
  const folder = requireFolder(engine);
  const moved: { tag: string; path: string }[] = [];
  const warnings: CairnError[] = [];
  for (const { tag, error } of skipped) {
    if (!DAMAGE.has(error.code)) continue;
    try {
      const path = await moveAside(folder, tag);
      if (path !== undefined) moved.push({ tag, path });
    } catch (failure) {
      if (!(failure instanceof CairnError)) throw failure;
      if (failure.code !== "not_found") warnings.push(failure);
    }
  }
  return { moved, warnings };
}

/** @returns Its full name there, or `undefined` when it was sound and went back. */
async function moveAside({ storage, directory }: CheckpointFolder, tag: string): Promise<string | undefined> {
  const source = joinPath(directory, fileNameOf(tag));
  const damaged = joinPath(directory, DAMAGED_DIRECTORY);
  await storage.makeDirectory(damaged);
  const taken = new Set((await storage.list(damaged)).map(({ name }) => name.toLowerCase()));
  let name = fileNameOf(tag);
  for (let version = 2; taken.has(name.toLowerCase()); version++) name = fileNameOf(`${tag}-v${version}`);
  const target = joinPath(damaged, name);
  await storage.move(source, target, { replace: false });
  if (await isSound({ storage, directory }, target, tag)) {
    await storage.move(target, source, { replace: false });
    await storage.syncDirectory(directory);
    return undefined;
  }
  // The new name first: better two names than none.
  await storage.syncDirectory(damaged);
  await storage.syncDirectory(directory);
  return storage.describe(target);
}

async function isSound({ storage }: CheckpointFolder, path: string, tag: string): Promise<boolean> {
  let checkpoint: Checkpoint | undefined;
  try {
    checkpoint = await Checkpoint.open(storage, path, tag);
    await checkpoint.verify();
    return true;
  } catch (error) {
    if (!(error instanceof CairnError)) throw error;
    return !DAMAGE.has(error.code);
  } finally {
    await checkpoint?.close();
  }
}
