import { throwIfAborted } from "../base/abort.ts";
import { CairnError } from "../base/errors.ts";
import { isAllZero } from "../base/little_endian.ts";
import { allocate } from "./allocate.ts";
import type { ChunkReader } from "./chunk_reader.ts";
import { rawGaps } from "./raw_gaps.ts";
import { paddedLength } from "./read_plan.ts";
import type { Tables } from "./tail.ts";

/** A chunk that cannot be read, and the tensors that have a part in it. */
export interface Damage {
  chunk: number;
  tensors: string[];
  message: string;
}

/** What {@link verifyChunks} found. */
export interface VerifyReport {
  ok: boolean;
  damaged: Damage[];
}

/** Options of long reads. */
export interface ReadOptions {
  signal?: AbortSignal | undefined;
  /** Called after each chunk with raw bytes. */
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
}

/** Length of the buffer in which any chunk's stored bytes fit. */
function scratchFor(tables: Tables): Uint8Array {
  return allocate(tables.chunks.reduce((most, chunk) => Math.max(most, paddedLength(chunk)), 0));
}

/**
 * Reads every chunk and every byte between chunks, and goes on after a damaged one. Opening a container
 * checks all other bytes. Rethrows what is no damage: an abort, or a failure of the source.
 */
export async function verifyChunks(
  reader: ChunkReader,
  tables: Tables,
  { signal, onProgress }: ReadOptions = {},
): Promise<VerifyReport> {
  const gaps = rawGaps(tables.layout);
  const scratch = scratchFor(tables);
  const damaged: Damage[] = [];
  let nextGap = 0;
  for (const [index, chunk] of tables.chunks.entries()) {
    throwIfAborted(signal);
    const end = chunk.rawOffset + chunk.rawLength;
    const raw = await readOrNote(reader, index, { scratch, signal }, damaged);
    for (let gap = gaps[nextGap]; gap !== undefined && gap.start < end; gap = gaps[++nextGap]) {
      const isClean = raw === undefined ||
        isAllZero(raw.subarray(gap.start - chunk.rawOffset, gap.end - chunk.rawOffset));
      if (!isClean) {
        const message = `The raw bytes ${gap.start} to ${gap.end}, between two tensors, are not zero`;
        damaged.push({ chunk: index, tensors: reader.tensorsIn(index), message });
      }
    }
    onProgress?.({ done: end, total: tables.layout.rawByteLength });
  }
  return { ok: damaged.length === 0, damaged };
}

const DAMAGE_CODES: ReadonlySet<string> = new Set(["checksum_mismatch", "invalid_container", "truncated"]);

async function readOrNote(
  reader: ChunkReader,
  index: number,
  options: { readonly scratch: Uint8Array; readonly signal: AbortSignal | undefined },
  damaged: Damage[],
): Promise<Uint8Array | undefined> {
  try {
    return await reader.read(index, options);
  } catch (error) {
    if (!(error instanceof CairnError) || !DAMAGE_CODES.has(error.code)) throw error;
    damaged.push({ chunk: index, tensors: reader.tensorsIn(index), message: error.message });
    return undefined;
  }
}
