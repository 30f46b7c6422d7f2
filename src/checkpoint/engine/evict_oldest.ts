import { CairnError } from "../../base/errors.ts";
import { namesIn } from "../../storage/names_in.ts";
import { joinPath } from "../../storage/storage_path.ts";
import { readCatalog } from "./catalog.ts";
import { LEASE_DIRECTORY } from "./checkpoint_folder.ts";
import type { Engine } from "./engine.ts";
import { untouchedBecause } from "./untouched.ts";

/** What {@link evictOldest} must leave alone besides. */
export interface EvictOptions {
  /** The tag that space is freed for. */
  readonly beingSaved: string;
  /** All may go unless given. */
  readonly mayEvict?: ((tag: string) => boolean | Promise<boolean>) | undefined;
}

/**
 * Deletes the oldest checkpoint that the engine's run saved automatically, as retention may, and that may go: never
 * the newest, which a crash goes back to until the next one is durable, never the one the run was resumed from, never
 * the one that is being saved, and none that has a lease, whether its holder is alive or not: retention finds that out.
 *
 * @returns Its tag, or `undefined` when none may go.
 */
export async function evictOldest(engine: Engine, options: EvictOptions): Promise<string | undefined> {
  const { beingSaved, mayEvict = () => true } = options;
  const { checkpoints } = engine.knownCatalog?.() ?? await readCatalog(engine);
  const own = checkpoints.filter(({ runId, tag }) => runId === engine.runId && tag !== beingSaved);
  for (const checkpoint of own.slice(0, -1)) {
    const { tag } = checkpoint;
    if (untouchedBecause(checkpoint, engine.runId) !== undefined) continue;
    if (tag === engine.resumedFrom || await isLeased(engine, tag) || !await mayEvict(tag)) continue;
    let isGone = true;
    // A lease that is taken at this very moment is seen here, or else its taker sees that the checkpoint is gone.
    const confirm = async (): Promise<boolean> => isGone = !await isLeased(engine, tag);
    try {
      await engine.remove(tag, { confirm, fileId: checkpoint.fileId });
    } catch (error) {
      // Another process removed or replaced it.
      if (error instanceof CairnError && error.code === "not_found") continue;
      throw error;
    }
    if (isGone) return tag;
  }
  return undefined;
}

async function isLeased({ folders }: Engine, tag: string): Promise<boolean> {
  for (const { storage, directory } of folders) {
    const leases = await namesIn(storage, joinPath(directory, LEASE_DIRECTORY));
    if (leases.some((name) => name.startsWith(`${tag}@`))) return true;
  }
  return false;
}
