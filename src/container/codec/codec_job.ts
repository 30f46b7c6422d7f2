import type { DType } from "../../base/dtype.ts";
import { Scratch } from "../../base/bytes/scratch.ts";
import { type EncodedChunk, encodeSmallest } from "./choose.ts";
import { type ChunkSums, decodeChecked } from "./decode_checked.ts";
import { decoderByName } from "./decoders.ts";
import type { CodecName } from "./table.ts";

/** What is done to a chunk. `decode` checks both sums and gives the raw bytes. */
export type CodecJob =
  | { readonly kind: "encode"; readonly dtype: DType; readonly names: readonly CodecName[] }
  | { readonly kind: "decode"; readonly name: CodecName; readonly sums: ChunkSums };

/** A job's result: the first bytes of its memory, and what is known of them. */
export interface CodecResult extends Omit<EncodedChunk, "stored"> {
  readonly byteLength: number;
}

/**
 * Does jobs on this thread. A job has its input at the beginning of its memory, and its result is put there: memory
 * that is in the processor's cache already.
 *
 * What the codec `planes` copies piece by piece, to places that are odd, is in memory of this thread's own: between
 * shared memory and any other, V8 copies that byte by byte, which takes eight times as long.
 */
export class JobRunner {
  readonly #own: Scratch = new Scratch();

  /** Throws what a codec throws, and leaves the input as it was then. `memory` has room for the result. */
  run(job: CodecJob, memory: ArrayBufferLike, inputBytes: number): CodecResult {
    const input = new Uint8Array(memory, 0, inputBytes);
    const own = this.#own.take(inputBytes);
    if (job.kind === "encode") {
      const { stored, ...encoded } = encodeSmallest(input, job.dtype, job.names, own);
      if (stored !== input) input.set(stored);
      return { ...encoded, byteLength: stored.byteLength };
    }
    own.set(input);
    const { name, sums } = job;
    const { rawLength, storedCrc, rawCrc } = sums;
    const output = new Uint8Array(memory, 0, rawLength);
    try {
      const raw = decodeChecked(decoderByName(name), own, sums, output);
      if (raw.buffer !== memory) output.set(raw);
    } catch (error) {
      input.set(own);
      throw error;
    }
    return { codec: name, storedCrc, rawCrc, byteLength: rawLength };
  }
}
