import { CairnError } from "../../../base/errors.ts";
import { viewOf } from "../../../base/little_endian.ts";
import { checkComplete, DECODE_ENTRIES, fillSingles } from "./plane_code.ts";
import { PLANE_HEAP } from "./plane_heap.ts";
import type { PlaneKernels } from "./plane_kernels.ts";
import {
  BLOCK_SYMBOLS,
  REPEATED_SYMBOLS,
  SEGMENT,
  SEGMENT_HEADER_BYTES,
  streamStart,
} from "./plane_writer.ts";

/** Where a plane goes in the heap of the kernels, and where there is room for twice its length and more. */
export interface PlaneTarget {
  readonly address: number;
  readonly length: number;
  readonly streams: number;
}

/** A segment's content in the stored bytes. */
interface SegmentContent {
  readonly stored: Uint8Array;
  readonly at: number;
  readonly length: number;
}

/**
 * Decodes the plane that begins `at` bytes into `stored`, and returns where it ends. Throws
 * `CairnError("invalid_container")` for anything that is not exactly a plane of the target's length.
 */
export function readPlane(
  kernels: PlaneKernels,
  stored: Uint8Array,
  at: number,
  target: PlaneTarget,
): number {
  const heap = kernels.heap();
  const view = viewOf(stored);
  for (let done = 0; done < target.length;) {
    need(stored, at, SEGMENT_HEADER_BYTES);
    const length = view.getUint32(at, true);
    const kind = view.getUint8(at + 4);
    const left = target.length - done;
    if (length === 0 || length > left || (length < left && length % BLOCK_SYMBOLS !== 0)) {
      throw invalid(`a segment says it has ${length} symbols, of ${left} that are left in its plane`);
    }
    const content = { stored, at: at + SEGMENT_HEADER_BYTES, length };
    const symbols = heap.subarray(target.address + done, target.address + done + length);
    if (kind === SEGMENT.raw) at = readRaw(content, symbols);
    else if (kind === SEGMENT.repeated) at = readRepeated(content, symbols);
    else if (kind === SEGMENT.coded) at = readCoded(kernels, content, target.address + done, target.streams);
    else throw invalid(`a segment has the kind ${kind}`);
    done += length;
  }
  return at;
}

function readRaw({ stored, at, length }: SegmentContent, symbols: Uint8Array): number {
  need(stored, at, length);
  symbols.set(stored.subarray(at, at + length));
  return at + length;
}

function readRepeated({ stored, at, length }: SegmentContent, symbols: Uint8Array): number {
  const copies = Math.ceil(length / REPEATED_SYMBOLS);
  need(stored, at, copies);
  const symbol = stored[at] as number;
  for (let i = 1; i < copies; i++) {
    if (stored[at + i] !== symbol) throw invalid("the copies of a repeated symbol differ");
  }
  symbols.fill(symbol);
  return at + copies;
}

function readCoded(
  kernels: PlaneKernels,
  { stored, at, length }: SegmentContent,
  address: number,
  streams: number,
): number {
  const { lengths, end } = readLengths(stored, at);
  need(stored, end, 16);
  const heap = kernels.heap();
  const view = viewOf(stored);
  const job = new Uint32Array(heap.buffer, PLANE_HEAP.job, 12);
  const begin = end + 16;
  const limits: number[] = [];
  let streamBytes = 0;
  for (let stream = 0; stream < 4; stream++) {
    job[3 * stream] = 8 * (streams + streamBytes);
    job[3 * stream + 1] = address + streamStart(length, stream);
    job[3 * stream + 2] = address + streamStart(length, stream + 1);
    streamBytes += view.getUint32(end + 4 * stream, true);
    limits.push(streams + streamBytes);
  }
  // More would not have been coded; and it is what there is room for.
  if (streamBytes >= length) throw invalid(`${length} symbols are coded in ${streamBytes} bytes`);
  need(stored, begin, streamBytes);
  heap.set(stored.subarray(begin, begin + streamBytes), streams);
  fillSingles(lengths, new Uint16Array(heap.buffer, PLANE_HEAP.singles, DECODE_ENTRIES));
  kernels.triple();
  kernels.decode();
  for (const [stream, limit] of limits.entries()) checkEnd(heap, job[3 * stream] as number, limit);
  return begin + streamBytes;
}

/** A stream ends within its last byte, and what is left of that is zero. */
function checkEnd(heap: Uint8Array, bit: number, limit: number): void {
  if (Math.ceil(bit / 8) !== limit) {
    throw invalid(
      `a stream's codes take ${Math.abs(limit - Math.ceil(bit / 8))} bytes ${
        bit / 8 > limit ? "more than there are" : "less than it has"
      }`,
    );
  }
  if ((bit & 7) !== 0 && (heap[limit - 1] as number) >>> (bit & 7) !== 0) {
    throw invalid("bits behind the end of a stream are not zero");
  }
}

/** The lengths of the codes at the head of a coded segment, which make a complete code. */
function readLengths(stored: Uint8Array, at: number): { lengths: Uint8Array; end: number } {
  need(stored, at, 2);
  const first = stored[at] as number;
  const last = stored[at + 1] as number;
  const end = at + 2 + ((last - first + 2) >>> 1);
  if (first >= last) throw invalid(`a code goes from symbol ${first} to ${last}`);
  need(stored, at, end - at);
  const lengths = new Uint8Array(256);
  for (let symbol = first; symbol <= last; symbol++) {
    const pair = stored[at + 2 + ((symbol - first) >>> 1)] as number;
    lengths[symbol] = (symbol - first) & 1 ? pair >>> 4 : pair & 15;
  }
  if (((last - first) & 1) === 0 && (stored[end - 1] as number) >>> 4 !== 0) {
    throw invalid("half a byte behind the lengths of codes is not zero");
  }
  if (lengths[first] === 0 || lengths[last] === 0) {
    throw invalid(`the code's first or last symbol, ${first} and ${last}, has no code`);
  }
  checkComplete(lengths);
  return { lengths, end };
}

function need(stored: Uint8Array, at: number, count: number): void {
  if (count > stored.byteLength - at) {
    throw invalid(`it ends early: ${count} bytes are expected, ${stored.byteLength - at} are left`);
  }
}

/** For a chunk that no writer of `planes` wrote. */
export function invalid(problem: string): CairnError {
  return new CairnError("invalid_container", `A planes chunk is damaged: ${problem}`);
}
