/**
 * Where the kernels' tables are in the heap, and how much room must be behind what is read and written.
 * wasm/heap.ts has the same numbers.
 */
export const PLANE_HEAP: PlaneHeap = {
  counts: 0,
  codes: 4096,
  job: 5120,
  lengths: 5376,
  triples: 8192,
  singles: 24576,
  pairs: 32768,
  free: 32768 + 4 * 65536 + 64,
  slack: 64,
};

interface PlaneHeap {
  /** How often each byte occurs: 256 u32. There is room for four such tables, which the kernels use. */
  readonly counts: number;
  /** For each byte a u32: the length of its code, and from bit 8 the code; 0 for a byte that does not occur. */
  readonly codes: number;
  /**
   * Four times three u32: where a stream's bits begin, as an address in bits; where its symbols go; where they
   * end. Decoding moves the first two to where it ended.
   */
  readonly job: number;
  /** The length of each byte's code: 256 u8. */
  readonly lengths: number;
  /** 4096 u32, and only for the kernels that made them. `compact` and `expand` overwrite them. */
  readonly triples: number;
  /** 4096 u16: for each value of the next 12 bits a symbol, and from bit 8 the length of its code. */
  readonly singles: number;
  /** 65536 u32, and only for the kernels that made them. */
  readonly pairs: number;
  /** From here on the heap is the caller's. */
  readonly free: number;
  /** Bytes behind each area that may be read, and behind an encoded one that may be written. */
  readonly slack: number;
}
