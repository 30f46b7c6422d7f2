import type { Work } from "../../base/work.ts";
import type { ChunkReader } from "./chunk_reader.ts";
import { GapCheck } from "../format/raw_gaps.ts";
import type { Tables } from "../format/tail.ts";

/** A chunk that cannot be read, and the tensors that have a part in it. */
export interface Damage {
  /** Index of the chunk in {@link ContainerReader.chunks}. */
  chunk: number;
  /** Names of the tensors that have a part in it, aliases included. */
  tensors: string[];
  /** What is wrong with it. */
  message: string;
}

/** What {@link verifyChunks} found. */
export interface VerifyReport {
  /** Whether every byte is as a writer wrote it. */
  ok: boolean;
  /** In the order of the file; empty where all is well. */
  damaged: Damage[];
}

/**
 * Reads every chunk and every byte between chunks, and goes on after a damaged one. Opening a container
 * checks all other bytes. Rethrows any other error: an abort, or a failure of the source.
 */
export async function verifyChunks(
  reader: ChunkReader,
  tables: Tables,
  { signal, onProgress }: Work = {},
): Promise<VerifyReport> {
  const gaps = new GapCheck(tables.layout);
  const damaged: Damage[] = [];
  for await (const { index, raw, damage } of reader.outcomes(signal)) {
    const { rawOffset, rawLength } = reader.chunk(index);
    const end = rawOffset + rawLength;
    if (damage !== undefined) {
      damaged.push({ chunk: index, tensors: reader.tensorsIn(index), message: damage.message });
    }
    for (const gap of gaps.damagedUpTo(end, rawOffset, raw)) {
      const message = `The raw bytes ${gap.start} to ${gap.end}, between two tensors, are not zero`;
      damaged.push({ chunk: index, tensors: reader.tensorsIn(index), message });
    }
    onProgress?.({ done: end, total: tables.layout.rawByteLength });
  }
  return { ok: damaged.length === 0, damaged };
}
