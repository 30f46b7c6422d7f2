import { checkOptions, type OptionNames } from "../base/options.ts";
import { CairnError } from "../base/errors.ts";
import type { Engine } from "./engine.ts";

/** What is known of a checkpoint without reading its data. */
export interface CheckpointSummary {
  readonly tag: string;
  readonly path: string;
  /** Random, and another one whenever a file is written: tells a checkpoint from another one of the same tag. */
  readonly fileId: string;
  readonly step: number | undefined;
  readonly createdAt: string | undefined;
  readonly runId: string | undefined;
  readonly metrics: Readonly<Record<string, number>>;
}

/** A checkpoint that was passed over. */
export interface SkippedCheckpoint {
  readonly tag: string;
  readonly path: string;
  /** In a sentence. */
  readonly reason: string;
  readonly error: CairnError;
}

/** All checkpoints of an engine. */
export interface Catalog {
  /** Oldest first: by step, then by time, then by name. */
  readonly checkpoints: readonly CheckpointSummary[];
  /** Files that are named like checkpoints and cannot be opened. */
  readonly unreadable: readonly SkippedCheckpoint[];
}

/** Options of {@link readCatalog}. */
export interface CatalogOptions {
  readonly signal?: AbortSignal;
}

/** Every option of {@link CatalogOptions}. */
export const CATALOG_OPTIONS: OptionNames<CatalogOptions> = { signal: true };

/** How often a directory is looked at again that changes under its reader. Each time a writer has saved and cleaned up. */
export const MOST_LOOKS = 10;

/**
 * Opens each checkpoint for its manifest. What another process removes meanwhile is in neither list; as it has then saved a newer
 * one, the directory is listed again.
 */
export async function readCatalog(engine: Engine, options: CatalogOptions = {}): Promise<Catalog> {
  checkOptions("readCatalog()", options, CATALOG_OPTIONS);
  for (let looks = 1;; looks++) {
    const { hasVanished, ...catalog } = await look(engine, options);
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
      const checkpoint = await engine.load(tag, options);
      const { path, step, metrics, provenance: { createdAt, runId } } = checkpoint;
      const { fileId } = checkpoint.reader;
      await checkpoint.close();
      checkpoints.push({ tag, path, fileId, step, createdAt, runId, metrics });
    } catch (error) {
      if (!(error instanceof CairnError)) throw error;
      if (error.code === "not_found") hasVanished = true;
      else unreadable.push(skipped(tag, engine.pathOf(tag), error));
    }
  }
  return { checkpoints: checkpoints.sort(byAge), unreadable, hasVanished };
}

/** A passed-over checkpoint with the reason in words. */
export function skipped(tag: string, path: string, error: CairnError): SkippedCheckpoint {
  return { tag, path, reason: error.message, error };
}

function byAge(a: CheckpointSummary, b: CheckpointSummary): number {
  // Without a step it cannot be told from a weights-only export: it is the last choice.
  const steps = (a.step ?? -1) - (b.step ?? -1);
  if (steps !== 0) return steps;
  const times = compare(a.createdAt ?? "", b.createdAt ?? "");
  return times !== 0 ? times : compare(a.tag, b.tag);
}

/** By code unit: the same order in every locale. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
