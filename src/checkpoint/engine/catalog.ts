import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { CairnError } from "../../base/errors.ts";
import type { Engine } from "./engine.ts";
import {
  byAge,
  type Catalog,
  type CheckpointSummary,
  MOST_LOOKS,
  skipped,
  type SkippedCheckpoint,
  summarize,
} from "./summary.ts";

export type { Catalog, CheckpointSummary, SkippedCheckpoint } from "./summary.ts";

/** Options of {@link readCatalog}. */
export interface CatalogOptions {
  /** Stops reading, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Be content with what the engine knows from its last save, where this tag is known: nothing is read then. What
   * others did since is not in it.
   */
  readonly knowing?: string | undefined;
}

/** Every option of {@link CatalogOptions}. */
export const CATALOG_OPTIONS: OptionNames<CatalogOptions> = { signal: true, knowing: true };

/**
 * Opens each checkpoint for its manifest. What another process removes meanwhile is in neither list; as it has then
 * saved a newer one, the directory is listed again.
 */
export async function readCatalog(engine: Engine, options: CatalogOptions = {}): Promise<Catalog> {
  checkOptions("readCatalog()", options, CATALOG_OPTIONS);
  const { knowing, ...reading } = options;
  const known = knowing === undefined ? undefined : engine.knownCatalog?.();
  if (known?.checkpoints.some(({ tag }) => tag === knowing)) return known;
  if (engine.catalog !== undefined) return await engine.catalog(reading);
  for (let looks = 1;; looks++) {
    const { hasVanished, ...catalog } = await look(engine, reading);
    if (!hasVanished || looks === MOST_LOOKS) return catalog;
  }
}

async function look(
  engine: Engine,
  options: CatalogOptions,
): Promise<Catalog & { readonly hasVanished: boolean }> {
  const checkpoints: CheckpointSummary[] = [];
  const unreadable: SkippedCheckpoint[] = [];
  let hasVanished = false;
  for (const tag of await engine.list()) {
    try {
      checkpoints.push(await summarize(() => engine.load(tag, options)));
    } catch (error) {
      if (!(error instanceof CairnError)) throw error;
      if (error.code === "not_found") hasVanished = true;
      else unreadable.push(skipped(tag, engine.pathOf(tag), error));
    }
  }
  return { checkpoints: checkpoints.sort(byAge), unreadable, hasVanished };
}
