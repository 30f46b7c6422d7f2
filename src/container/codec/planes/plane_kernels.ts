/**
 * The inner loops of the codec `planes`, over one heap of bytes that the caller lays out: every parameter is
 * an address in it, or a count. They check nothing; `PLANE_HEAP` says where their tables are.
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
  /**
   * `compact` and then `split`: the planes get the elements of which not all bits are zero. Returns their number. What
   * was at `raw` is lost.
   */
  splitKept(
    raw: number,
    count: number,
    byteSize: number,
    rotate: boolean,
    planes: number,
    stride: number,
    mask: number,
  ): number;
  /** The inverse of `compact`, in place: `mask` has to have `kept` bits. */
  expand(raw: number, kept: number, count: number, byteSize: number, mask: number): void;
  /** Number of bits that are set in `length` bytes. */
  ones(bytes: number, length: number): number;
  /**
   * Counts how often each byte occurs, as 256 u32 at `counts`. With `isSampled` only 8 of each 64 bytes: of the
   * `i`th 64 those from `8 * Math.floor((i * 2654435761 % 2 ** 32) / 2 ** 29)` on, and all of a rest.
   */
  histogram(bytes: number, length: number, isSampled: boolean): void;
  /**
   * The lowest byte; from bit 8 the highest; from bit 16 the lowest that is not 0, or 0; from bit 24 the bits that any
   * of them has. `counts` are lost.
   */
  range(bytes: number, length: number): number;
  /**
   * Makes of `counts` the best code of at most 12 bits: `lengths` and `codes`, as `codeLengths` and `fillCodes` say. At
   * least two bytes have to occur. `pairs` are lost.
   */
  code(): void;
  /**
   * Makes `pairs` of `codes`, from which `encode` takes two codes at a time, for bytes from `first` to `last`.
   * `counts` are lost.
   */
  pair(first: number, last: number): void;
  /**
   * Writes the codes of the bytes from `from` to `end` to `to`, lowest bit first, and returns the address
   * behind them. `isPaired` says that `pairs` were made of `codes`.
   */
  encode(from: number, end: number, isPaired: boolean, to: number): number;
  /** Writes even bytes as `encode` does by a code that has 7 bits for each even byte. */
  packEven(from: number, end: number, to: number): number;
  /** Makes `triples` of `singles`. */
  triple(): void;
  /** Decodes the four streams of `job`, by `singles` and `triples`. */
  decode(): void;
}
