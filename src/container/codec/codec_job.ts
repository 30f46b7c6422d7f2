import type { DType } from "../../base/dtype.ts";
import type { CairnErrorCode } from "../../base/errors.ts";
import type { EncodedChunk } from "./choose.ts";
import type { ChunkSums } from "./decode_checked.ts";
import type { CodecName } from "./table.ts";

/** What a worker is asked for, and where the bytes for it are. */
export interface CodecJob {
  readonly id: number;
  readonly input: JobInput;
  readonly work: CodecWork;
}

/**
 * Bytes that were transferred; or the beginning of a buffer, with its memory where the worker has not seen that yet.
 */
export type JobInput =
  | { readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly buffer: number; readonly byteLength: number; readonly memory?: SharedArrayBuffer | undefined };

/** `decode` checks both sums and gives the raw bytes. */
export type CodecWork =
  | { readonly kind: "encode"; readonly dtype: DType; readonly names: readonly CodecName[] }
  | { readonly kind: "decode"; readonly name: CodecName; readonly chunk: ChunkSums };

/** Bytes that are transferred back, or where they lie in the job's buffer. */
export type JobOutput = Uint8Array | { readonly at: number; readonly byteLength: number };

/** What a worker answers. */
export type CodecAnswer =
  | { readonly id: number; readonly output: JobOutput; readonly encoded?: Omit<EncodedChunk, "stored"> }
  | { readonly id: number; readonly failure: { code: CairnErrorCode | undefined; message: string } };
