import { viewOf } from "../../base/little_endian.ts";
import { codeLengths } from "./code_lengths.ts";
import { fillCodes, MAX_CODE_BITS } from "./plane_code.ts";
import { PLANE_HEAP } from "./plane_heap.ts";
import type { PlaneKernels } from "./plane_kernels.ts";
import { joinBlocks, type PlaneBlock, type PlaneSegment, sampledBits } from "./plane_statistics.ts";

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
// A table of pairs is made where there are so many symbols for each of its entries.
const USES_A_PAIR = 2;
// What another segment costs: its header and its lengths of codes, and the time to set up a table for it.
const SEPARATE_BITS = 8 * 256;

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
    if (sampledBits(plane) > NOISE_BITS) {
      this.#addRaw(plane);
      return;
    }
    for (const segment of joinBlocks(this.#blocks(address, length), SEPARATE_BITS)) {
      this.#addSegment(plane.subarray(segment.start, segment.start + segment.length), address, segment);
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

  *#blocks(address: number, length: number): Iterable<PlaneBlock> {
    const counts = new Uint32Array(this.#heap.buffer, PLANE_HEAP.counts, 256);
    for (let start = 0; start < length; start += BLOCK_SYMBOLS) {
      const blockLength = Math.min(BLOCK_SYMBOLS, length - start);
      this.#kernels.histogram(address + start, blockLength);
      yield { start, length: blockLength, counts };
    }
  }

  #addSegment(symbols: Uint8Array, address: number, segment: PlaneSegment): void {
    const { length, counts, first, last } = segment;
    if (first === last) {
      this.#addHeader(length, SEGMENT.repeated);
      this.#add(new Uint8Array(Math.ceil(length / REPEATED_SYMBOLS)).fill(first));
      return;
    }
    const lengths = codeLengths(counts, MAX_CODE_BITS);
    let bits = 0;
    for (let symbol = first; symbol <= last; symbol++) {
      bits += (counts[symbol] as number) * (lengths[symbol] as number);
    }
    const head = codedHead(lengths, segment);
    if (head.byteLength + bits / 8 > length * WORTHWHILE) this.#addRaw(symbols);
    else this.#addCoded(head, lengths, address, segment);
  }

  #addRaw(symbols: Uint8Array): void {
    this.#addHeader(symbols.byteLength, SEGMENT.raw);
    this.#add(symbols);
  }

  #addCoded(head: Uint8Array, lengths: Uint8Array, plane: number, segment: PlaneSegment): void {
    const { start, length, first, last } = segment;
    fillCodes(lengths, new Uint32Array(this.#heap.buffer, PLANE_HEAP.codes, 256));
    const isPaired = length >= USES_A_PAIR * (last - first + 1) ** 2;
    if (isPaired) this.#kernels.pair(first, last);
    const address = plane + start;
    const view = viewOf(head);
    const begin = this.#streams;
    for (let stream = 0; stream < 4; stream++) {
      const from = address + streamStart(length, stream);
      const end = address + streamStart(length, stream + 1);
      const to = this.#streams;
      this.#streams = this.#kernels.encode(from, end, isPaired, to);
      view.setUint32(head.byteLength - 16 + 4 * stream, this.#streams - to, true);
    }
    this.#addHeader(length, SEGMENT.coded);
    this.#add(head);
    this.#add(this.#heap.subarray(begin, this.#streams));
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

/** Index of the first symbol of one of the four streams of a segment; of the segment's end for a fifth. */
export function streamStart(length: number, stream: number): number {
  return Math.floor((length * stream) / 4);
}

/** First and last symbol, the lengths of their codes and of all between as half bytes, and room for the streams' lengths. */
function codedHead(lengths: Uint8Array, { first, last }: PlaneSegment): Uint8Array {
  const head = new Uint8Array(2 + ((last - first + 2) >>> 1) + 16);
  head[0] = first;
  head[1] = last;
  for (let symbol = first; symbol <= last; symbol++) {
    const at = 2 + ((symbol - first) >>> 1);
    head[at] = (head[at] as number) | ((lengths[symbol] as number) << (4 * ((symbol - first) & 1)));
  }
  return head;
}
