import { portableKernels } from "./portable_kernels.ts";
import { wasmKernels } from "./wasm_kernels.ts";

/**
 * The inner loops of the codec `planes`, over one heap of bytes that the caller lays out: every parameter is
 * an address in it, or a count. They check nothing; {@link PLANE_HEAP} says how much room they take.
 */
export interface PlaneKernels {
  /** Grows the heap to at least `byteLength` bytes. Views made before may be of no use afterwards. */
  reserve(byteLength: number): void;
  /** The heap as it is now. */
  heap(): Uint8Array;
  /**
   * Splits `count` elements of `byteSize` bytes (2, 4 or 8) into planes, each `stride` bytes behind the one
   * before. With `rotate` each element is first rotated left by one bit, so that its sign becomes the lowest.
   */
  split(
    raw: number,
    count: number,
    byteSize: number,
    rotate: boolean,
    planes: number,
    stride: number,
  ): void;
  /** The inverse of `split`. */
  merge(
    planes: number,
    stride: number,
    count: number,
    byteSize: number,
    rotate: boolean,
    raw: number,
  ): void;
  /**
   * Moves the elements of which not all bits are zero together, in place, and returns their number. `mask` gets
   * one bit for each of the `count` elements, from the lowest bit of each byte up: whether it was kept.
   */
  compact(raw: number, count: number, byteSize: number, mask: number): number;
  /** The inverse of `compact`, in place: `mask` has to have `kept` bits. */
  expand(raw: number, kept: number, count: number, byteSize: number, mask: number): void;
  /** Number of bits that are set in `length` bytes. */
  ones(bytes: number, length: number): number;
  /** Counts how often each byte occurs, as 256 u32 at `counts`. */
  histogram(bytes: number, length: number, counts: number): void;
  /** Fills a table at `pairs` from which `encode` takes two codes at a time, for bytes from `first` to `last`. */
  pair(codes: number, first: number, last: number, pairs: number): void;
  /**
   * Writes the codes of the bytes from `from` to `end` to `to`, lowest bit first, and returns the address
   * behind them. `codes` has for each byte a u32: its code, and from bit 16 the code's length, all 0 for bytes
   * that do not occur. `pairs` is what `pair` filled, or 0 where that was not worth it.
   */
  encode(from: number, end: number, codes: number, pairs: number, to: number): number;
  /**
   * Decodes four streams. `job` has for each of them three u32: where its bits begin, as an address in bits;
   * where its symbols go; where they end. The first two are moved to where decoding ended. `table` and
   * `lengths` are those of a `DecodeTable`.
   */
  decode(job: number, table: number, lengths: number): void;
}

/** Where the tables are in the heap, and how much room must be behind what is read and written. */
export const PLANE_HEAP: PlaneHeap = {
  counts: 0,
  codes: 4096,
  job: 5120,
  lengths: 5632,
  table: 8192,
  pairs: 32768,
  free: 32768 + 4 * 65536,
  slack: 64,
};

interface PlaneHeap {
  /** Four times 256 u32. */
  readonly counts: number;
  /** 256 u32. */
  readonly codes: number;
  /** Four times three u32. */
  readonly job: number;
  /** 256 bytes. */
  readonly lengths: number;
  /** 4096 u32. */
  readonly table: number;
  /** 65536 u32. */
  readonly pairs: number;
  /** From here on the heap is the caller's. */
  readonly free: number;
  /** Bytes behind each area that may be read, and behind an encoded one that may be written. */
  readonly slack: number;
}

let kernels: PlaneKernels | undefined;

/** The fastest kernels that work here: WebAssembly with SIMD, or else plain TypeScript. Same bytes. */
export function planeKernels(): PlaneKernels {
  kernels ??= wasmKernels() ?? portableKernels();
  return kernels;
}

/** Runs `work` with other kernels: for tests. */
export function withKernels<T>(other: PlaneKernels, work: () => T): T {
  const before = kernels;
  kernels = other;
  try {
    return work();
  } finally {
    kernels = before;
  }
}
