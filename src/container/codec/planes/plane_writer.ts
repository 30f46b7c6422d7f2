import { viewOf } from "../../../base/little_endian.ts";
import { PLANE_HEAP } from "./plane_heap.ts";
import type { PlaneKernels } from "./plane_kernels.ts";
import { joinBlocks, type PlaneBlock, type PlaneSegment, sampledBits } from "../plane_statistics.ts";

/** Segments begin at multiples of this many symbols. */
export const BLOCK_SYMBOLS = 16384;
/** How a segment is stored. */
export const SEGMENT = { raw: 0, repeated: 1, coded: 2 } as const;
/** Symbols for each stored byte of a repeated one. */
export const REPEATED_SYMBOLS = 1024;
/** Bytes before a segment's content: its length and its kind. */
export const SEGMENT_HEADER_BYTES = 5;

// A segment that saves less than this is stored as it is: it is not worth the time it takes to decode.
const WORTHWHILE = 31 / 32;
// A plane with more bits a byte than this by a sample is taken for noise, and not looked at any further.
const NOISE_BITS = 7.75;
// The same of one whose bytes are all even, as the lowest plane of numbers that are all positive.
const EVEN_NOISE_BITS = 6.9;
const EVEN_LENGTHS = Uint8Array.from({ length: 256 }, (_, symbol) => symbol & 1 ? 0 : 7);
// A table of pairs is made where there are so many symbols for each of its entries. (Making one takes half as long as
// what it saves at a symbol.)
const USES_A_PAIR = 1 / 2;
// In planes of so many symbols or more one of eight is counted, which is enough to know their code by.
const SAMPLED_SYMBOLS = 1 << 16;
const SAMPLED = 8;
// A symbol that the sample has not met but that may occur gets a long code. More of them than this are looked for:
// codes that are never used take room from the others.
const MAX_UNSEEN = 16;
// Where the codes of a sample turn out longer than it had promised by more than this, all symbols are counted.
const TRUSTED = 65 / 64;
// What another segment costs: its header and its lengths of codes, and the time to set up a table for it.
const SEPARATE_BITS = 8 * 256;

/** Where the symbols of a segment are in the heap. */
interface Symbols {
  readonly address: number;
  readonly length: number;
}

/** Puts planes that lie in the heap of the kernels in their stored form. */
export class PlaneWriter {
  readonly #kernels: PlaneKernels;
  readonly #heap: Uint8Array;
  readonly #pieces: Uint8Array[] = [];
  #streams: number;
  #byteLength = 0;

  /** `streams` is where there is room in the heap for all that the planes can become. */
  constructor(kernels: PlaneKernels, streams: number) {
    this.#kernels = kernels;
    this.#heap = kernels.heap();
    this.#streams = streams;
  }

  /** Bytes of all planes so far. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Adds a number as u32. */
  addNumber(value: number): void {
    const bytes = new Uint8Array(4);
    viewOf(bytes).setUint32(0, value, true);
    this.#add(bytes);
  }

  /** Adds the plane of `length` bytes at `address`. */
  addPlane(address: number, length: number): void {
    const plane = this.#heap.subarray(address, address + length);
    const bits = sampledBits(plane);
    if (bits > NOISE_BITS) return this.#addRaw(plane);
    if (bits > EVEN_NOISE_BITS && this.#addEven({ address, length })) return;
    const isSampled = length >= SAMPLED_SYMBOLS;
    const separateBits = isSampled ? SEPARATE_BITS / SAMPLED : SEPARATE_BITS;
    for (const segment of joinBlocks(this.#blocks(address, length, isSampled), separateBits)) {
      const symbols = { address: address + segment.start, length: segment.length };
      this.#addSegment(symbols, segment, isSampled && !this.#completed(symbols, segment));
    }
  }

  /** All planes, one after the other; in `into` where there is room for them. */
  toBytes(into?: Uint8Array): Uint8Array {
    const fits = into !== undefined && into.byteLength >= this.#byteLength;
    const stored = fits ? into.subarray(0, this.#byteLength) : new Uint8Array(this.#byteLength);
    let at = 0;
    for (const piece of this.#pieces) {
      stored.set(piece, at);
      at += piece.byteLength;
    }
    return stored;
  }

  /** Adds a plane of even bytes in 7 bits each; false where they are not all even, or too few. */
  #addEven({ address, length }: Symbols): boolean {
    const isEven = ((this.#kernels.range(address, length) >>> 24) & 1) === 0;
    const head = codedHead(EVEN_LENGTHS, { first: 0, last: 254 });
    if (!isEven || head.byteLength + 7 / 8 * length > length * WORTHWHILE) return false;
    const begin = this.#streams;
    this.#addStreams({ address, length }, head, (from, end, to) => this.#kernels.packEven(from, end, to));
    this.#addHeader(length, SEGMENT.coded);
    this.#add(head);
    this.#add(this.#heap.subarray(begin, this.#streams));
    return true;
  }

  *#blocks(address: number, length: number, isSampled: boolean): Iterable<PlaneBlock> {
    const counts = new Uint32Array(this.#heap.buffer, PLANE_HEAP.counts, 256);
    for (let start = 0; start < length; start += BLOCK_SYMBOLS) {
      const blockLength = Math.min(BLOCK_SYMBOLS, length - start);
      this.#kernels.histogram(address + start, blockLength, isSampled);
      yield { start, length: blockLength, counts };
    }
  }

  /**
   * Makes counts of a sample such that every symbol of the segment has one. Where that would give codes to many that
   * do not occur, counts all symbols, and returns true. (Zeros are often far from all others.)
   */
  #completed({ address, length }: Symbols, segment: PlaneSegment): boolean {
    const range = this.#kernels.range(address, length);
    const { counts } = segment;
    segment.first = range & 255;
    segment.last = (range >>> 8) & 255;
    const least = (range >>> 16) & 255;
    let unseen = 0;
    for (let symbol = least; symbol <= segment.last; symbol++) if (counts[symbol] === 0) unseen++;
    if (unseen > MAX_UNSEEN) {
      this.#count(address, length, counts);
      return true;
    }
    for (let symbol = segment.first; symbol <= segment.last; symbol++) {
      const mayOccur = symbol >= least || symbol === 0;
      counts[symbol] = mayOccur ? Math.max(1, (counts[symbol] as number) * SAMPLED) : 0;
    }
    return false;
  }

  /** Counts all symbols after all. */
  #count(address: number, length: number, counts: Uint32Array): void {
    this.#kernels.histogram(address, length, false);
    counts.set(new Uint32Array(this.#heap.buffer, PLANE_HEAP.counts, 256));
  }

  /** Adds a segment. `isSampled` says that its counts are those of a sample, which may have told a lie. */
  #addSegment(symbols: Symbols, segment: PlaneSegment, isSampled: boolean): void {
    const { counts, first, last } = segment;
    const { address, length } = symbols;
    if (first === last) {
      this.#addHeader(length, SEGMENT.repeated);
      this.#add(new Uint8Array(Math.ceil(length / REPEATED_SYMBOLS)).fill(first));
      return;
    }
    const lengths = this.#code(counts);
    const head = codedHead(lengths, segment);
    const expected = length * bitsOfSymbol(counts, lengths) / 8;
    if (head.byteLength + expected > length * WORTHWHILE) {
      this.#addRaw(this.#heap.subarray(address, address + length));
      return;
    }
    const begin = this.#streams;
    this.#encode(symbols, head, usedOf(counts));
    if (isSampled && this.#streams - begin > expected * TRUSTED) {
      this.#streams = begin;
      this.#count(address, length, counts);
      this.#addSegment(symbols, segment, false);
      return;
    }
    this.#addHeader(length, SEGMENT.coded);
    this.#add(head);
    this.#add(this.#heap.subarray(begin, this.#streams));
  }

  /** Makes the code for these counts, and gives the lengths of all codes. */
  #code(counts: Uint32Array): Uint8Array {
    new Uint32Array(this.#heap.buffer, PLANE_HEAP.counts, 256).set(counts);
    this.#kernels.code();
    return this.#heap.subarray(PLANE_HEAP.lengths, PLANE_HEAP.lengths + 256);
  }

  #addRaw(symbols: Uint8Array): void {
    this.#addHeader(symbols.byteLength, SEGMENT.raw);
    this.#add(symbols);
  }

  /** Writes the streams of a segment with `used` different symbols. */
  #encode(symbols: Symbols, head: Uint8Array, used: number): void {
    const [first = 0, last = 0] = head;
    const isPaired = symbols.length >= USES_A_PAIR * used * (last - first + 1);
    if (isPaired) this.#kernels.pair(first, last);
    this.#addStreams(symbols, head, (from, end, to) => this.#kernels.encode(from, end, isPaired, to));
  }

  /** Writes the four streams of a segment by `encode`, and their lengths into its head. */
  #addStreams(
    { address, length }: Symbols,
    head: Uint8Array,
    encode: (from: number, end: number, to: number) => number,
  ): void {
    const view = viewOf(head);
    for (let stream = 0; stream < 4; stream++) {
      const from = address + streamStart(length, stream);
      const end = address + streamStart(length, stream + 1);
      const to = this.#streams;
      this.#streams = encode(from, end, to);
      view.setUint32(head.byteLength - 16 + 4 * stream, this.#streams - to, true);
    }
  }

  #addHeader(length: number, kind: number): void {
    this.addNumber(length);
    this.#add(Uint8Array.of(kind));
  }

  #add(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#byteLength += piece.byteLength;
  }
}

/** How many symbols occur. */
function usedOf(counts: Uint32Array): number {
  let used = 0;
  for (let symbol = 0; symbol < 256; symbol++) if (counts[symbol] !== 0) used++;
  return used;
}

/** The mean length of a code. */
function bitsOfSymbol(counts: Uint32Array, lengths: Uint8Array): number {
  let bits = 0;
  let total = 0;
  for (let symbol = 0; symbol < 256; symbol++) {
    bits += (counts[symbol] as number) * (lengths[symbol] as number);
    total += counts[symbol] as number;
  }
  return bits / total;
}

/** Index of the first symbol of one of the four streams of a segment; of the segment's end for a fifth. */
export function streamStart(length: number, stream: number): number {
  return Math.floor((length * stream) / 4);
}

/**
 * First and last symbol, the lengths of their codes and of all between as half bytes, and room for the streams'
 * lengths.
 */
function codedHead(lengths: Uint8Array, { first, last }: Pick<PlaneSegment, "first" | "last">): Uint8Array {
  const head = new Uint8Array(2 + ((last - first + 2) >>> 1) + 16);
  head[0] = first;
  head[1] = last;
  for (let symbol = first; symbol <= last; symbol++) {
    const at = 2 + ((symbol - first) >>> 1);
    head[at] = (head[at] as number) | ((lengths[symbol] as number) << (4 * ((symbol - first) & 1)));
  }
  return head;
}
