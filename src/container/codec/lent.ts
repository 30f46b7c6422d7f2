import type { EncodedChunk } from "./choose.ts";

/** Bytes of a pool, which are the borrower's until it calls `release`. They may be in shared memory. */
export interface Lent {
  /**
   * Gives the memory back for the next job. Calling it twice is fine; what is never released is memory that the pool
   * never has again.
   */
  release(): void;
}

/** An encoded chunk whose `stored` is lent. */
export interface LentChunk extends EncodedChunk, Lent {}

/** Raw bytes that are lent. */
export interface LentBytes extends Lent {
  /** The raw bytes. They may be changed until they are released. */
  readonly bytes: Uint8Array;
}
