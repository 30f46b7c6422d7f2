import { CairnError } from "../../base/errors.ts";
import type { Provenance, SavedBy } from "../../container/format/manifest.ts";
import type { Checkpoint } from "../file/checkpoint.ts";
import { stepOfTag } from "../file/tags.ts";

/** What is known of a checkpoint without reading its data. */
export interface CheckpointSummary {
  /** Its tag now, which is the name of its file. */
  readonly tag: string;
  /** Full name of its file. */
  readonly path: string;
  /** Random, and another one whenever a file is written: tells a checkpoint from another one of the same tag. */
  readonly fileId: string;
  /** Optimiser updates at which it was saved; without a record of it, as the tag says. */
  readonly step: number | undefined;
  /** The epoch in which it was saved, from 1; of a run that counts them. */
  readonly epoch?: number | undefined;
  /** ISO 8601. */
  readonly createdAt: string | undefined;
  /** The run that saved it. */
  readonly runId: string | undefined;
  /** When it was committed, among those of its directory: the highest is the newest. Older files have none. */
  readonly order?: number | undefined;
  /** File id of the checkpoint that its run went on from. */
  readonly parent?: string | undefined;
  /** Whether it was saved automatically or because the user asked for it. Older files do not say. */
  readonly savedBy?: SavedBy | undefined;
  /** The tag that it was saved under; a copy may have another name. */
  readonly savedTag?: string | undefined;
  /** File ids of the other files that it is made of, where those were looked at. */
  readonly partIds?: readonly string[] | undefined;
  /** Figures that were measured when it was saved, by name. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** A checkpoint that was passed over. */
export interface SkippedCheckpoint {
  /** Its tag. */
  readonly tag: string;
  /** Full name of its file. */
  readonly path: string;
  /** In a sentence. */
  readonly reason: string;
  /** What was thrown. */
  readonly error: CairnError;
}

/** All checkpoints of an engine. */
export interface Catalog {
  /**
   * Oldest first, by when they were committed: by `order`, then by time, then by name; without an `order` before all
   * others.
   */
  readonly checkpoints: readonly CheckpointSummary[];
  /** Files that are named like checkpoints and cannot be opened. */
  readonly unreadable: readonly SkippedCheckpoint[];
}

/** How often a directory is listed again that changes while it is read. Each time a writer has saved and cleaned up. */
export const MOST_LOOKS = 10;

/** Of the disk, and not of what is on it. */
const FAILURES: ReadonlySet<string> = new Set(["storage_failed", "disk_full"]);

/** What there is to know of a checkpoint. A disk that fails once must not make the newest look old. */
export async function summarize(open: () => Promise<Checkpoint>): Promise<CheckpointSummary> {
  for (let isFirst = true;; isFirst = false) {
    try {
      const checkpoint = await open();
      await checkpoint.close();
      return { ...summaryOf(checkpoint), partIds: checkpoint.parts.map(({ fileId }) => fileId) };
    } catch (error) {
      if (!isFirst || !(error instanceof CairnError) || !FAILURES.has(error.code)) throw error;
    }
  }
}

/** A checkpoint's summary, by what its file says. */
export function summaryOf(
  { tag, path, metrics, provenance, reader: { fileId } }: SummarizedFile,
): CheckpointSummary {
  const { step = stepOfTag(tag), epoch, createdAt, runId, order, parent, savedBy, tag: savedTag } =
    provenance;
  return { tag, path, fileId, step, epoch, createdAt, runId, metrics, order, parent, savedBy, savedTag };
}

/** What a summary is made of. */
interface SummarizedFile {
  readonly tag: string;
  readonly path: string;
  readonly metrics: Readonly<Record<string, number>>;
  readonly provenance: Provenance;
  readonly reader: { readonly fileId: string };
}

/** A passed-over checkpoint with the reason in words. */
export function skipped(tag: string, path: string, error: CairnError): SkippedCheckpoint {
  return { tag, path, reason: error.message, error };
}

/** What says how old a checkpoint is. */
interface Aged {
  readonly order?: number | undefined;
  readonly createdAt?: string | undefined;
  readonly tag: string;
}

/** Oldest first: by which was committed first, whatever the steps and the times of the files are. */
export function byAge(a: Aged, b: Aged): number {
  return (a.order ?? 0) - (b.order ?? 0) || compare(timeOf(a), timeOf(b)) || compare(a.tag, b.tag);
}

/** Lowest step first. Without a step it cannot be told from a weights-only export: those come first. */
export function byStep(a: CheckpointSummary, b: CheckpointSummary): number {
  return (a.step ?? -1) - (b.step ?? -1);
}

function timeOf({ createdAt }: Aged): number {
  return createdAt === undefined ? -Infinity : Date.parse(createdAt);
}

/** Text by code unit: the same order in every locale. */
function compare<T extends string | number>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
