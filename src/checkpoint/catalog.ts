import { CairnError } from "../base/errors.ts";
import type { Engine } from "./engine.ts";

/** What is known of a checkpoint without reading its data. */
export interface CheckpointSummary {
  readonly tag: string;
  readonly path: string;
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

/** Opens each checkpoint for its manifest. What another process removes meanwhile is in neither list. */
export async function readCatalog(engine: Engine, options: CatalogOptions = {}): Promise<Catalog> {
  const checkpoints: CheckpointSummary[] = [];
  const unreadable: SkippedCheckpoint[] = [];
  for (const tag of await engine.list()) {
    try {
      const checkpoint = await engine.load(tag, options);
      const { path, step, metrics, provenance: { createdAt, runId } } = checkpoint;
      await checkpoint.close();
      checkpoints.push({ tag, path, step, createdAt, runId, metrics });
    } catch (error) {
      if (!(error instanceof CairnError)) throw error;
      if (error.code !== "not_found") unreadable.push(skipped(tag, engine.pathOf(tag), error));
    }
  }
  return { checkpoints: checkpoints.sort(byAge), unreadable };
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
