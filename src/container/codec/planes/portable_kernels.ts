import { viewOf } from "../../../base/little_endian.ts";
import { codeLengths } from "./code_lengths.ts";
import { DECODE_ENTRIES, fillCodes, MAX_CODE_BITS } from "./plane_code.ts";
import { PLANE_HEAP } from "./plane_heap.ts";
import type { PlaneKernels } from "./plane_kernels.ts";

/** The kernels in plain TypeScript: the readable form, and the one for hosts without WebAssembly. */
export function portableKernels(): PlaneKernels {
  let heap: Uint8Array<ArrayBuffer> = new Uint8Array(65536);
  const kernels: PlaneKernels = {
    reserve(byteLength) {
      if (byteLength <= heap.byteLength) return;
      const larger = new Uint8Array(byteLength);
      larger.set(heap);
      heap = larger;
    },
    heap: () => heap,
    split(raw, count, byteSize, rotate, planes, stride) {
      for (let i = 0; i < count; i++) {
        const from = raw + i * byteSize;
        // Rotated left by one, a byte has the highest bit of the byte below it as its lowest.
        let below = heap[from + byteSize - 1] as number;
        for (let plane = 0; plane < byteSize; plane++) {
          const byte = heap[from + plane] as number;
          heap[planes + plane * stride + i] = rotate ? (byte << 1) | (below >>> 7) : byte;
          below = byte;
        }
      }
    },
    merge(planes, stride, count, byteSize, rotate, raw) {
      for (let i = 0; i < count; i++) {
        const to = raw + i * byteSize;
        let above = heap[planes + i] as number;
        for (let plane = byteSize - 1; plane >= 0; plane--) {
          const byte = heap[planes + plane * stride + i] as number;
          heap[to + plane] = rotate ? (byte >>> 1) | (above << 7) : byte;
          above = byte;
        }
      }
    },
    compact(raw, count, byteSize, mask) {
      let to = raw;
      heap.fill(0, mask, mask + Math.ceil(count / 8));
      for (let i = 0; i < count; i++) {
        const from = raw + i * byteSize;
        let isKept = 0;
        for (let byte = from; byte < from + byteSize; byte++) isKept |= heap[byte] as number;
        if (isKept === 0) continue;
        heap.copyWithin(to, from, from + byteSize);
        to += byteSize;
        heap[mask + (i >>> 3)] = (heap[mask + (i >>> 3)] as number) | (1 << (i & 7));
      }
      return (to - raw) / byteSize;
    },
    splitKept(raw, count, byteSize, rotate, planes, stride, mask) {
      const kept = kernels.compact(raw, count, byteSize, mask);
      kernels.split(raw, kept, byteSize, rotate, planes, stride);
      return kept;
    },
    expand(raw, kept, count, byteSize, mask) {
      let from = raw + kept * byteSize;
      for (let i = count - 1; i >= 0; i--) {
        const to = raw + i * byteSize;
        if (((heap[mask + (i >>> 3)] as number) >>> (i & 7)) & 1) {
          from -= byteSize;
          heap.copyWithin(to, from, from + byteSize);
        } else {
          heap.fill(0, to, to + byteSize);
        }
      }
    },
    ones(bytes, length) {
      let total = 0;
      for (let at = bytes; at < bytes + length; at++) {
        for (let byte = heap[at] as number; byte > 0; byte &= byte - 1) total++;
      }
      return total;
    },
    histogram(bytes, length, isSampled) {
      const counts = new Uint32Array(heap.buffer, PLANE_HEAP.counts, 256).fill(0);
      for (let i = 0; i < length; i++) {
        // A rest of fewer than 64 bytes is counted whole.
        if (isSampled && (i | 63) < length && (i & 56) >>> 3 !== Math.imul(i >>> 6, 2654435761) >>> 29) {
          continue;
        }
        const byte = heap[bytes + i] as number;
        counts[byte] = (counts[byte] as number) + 1;
      }
    },
    range(bytes, length) {
      let first = 255;
      let last = 0;
      let least = 256;
      let bits = 0;
      for (let at = bytes; at < bytes + length; at++) {
        const byte = heap[at] as number;
        first = Math.min(first, byte);
        last = Math.max(last, byte);
        least = Math.min(least, byte || 256);
        bits |= byte;
      }
      return first | (last << 8) | ((least & 255) << 16) | (bits << 24);
    },
    code() {
      const lengths = codeLengths(new Uint32Array(heap.buffer, PLANE_HEAP.counts, 256), MAX_CODE_BITS);
      heap.set(lengths, PLANE_HEAP.lengths);
      fillCodes(lengths, new Uint32Array(heap.buffer, PLANE_HEAP.codes, 256));
    },
    pair() {},
    encode(from, end, _isPaired, to) {
      const codes = new Uint32Array(heap.buffer, PLANE_HEAP.codes, 256);
      let held = 0;
      let bits = 0;
      for (let at = from; at < end; at++) {
        const code = codes[heap[at] as number] as number;
        held |= (code >>> 8) << bits;
        bits += code & 255;
        for (; bits >= 8; bits -= 8, held >>>= 8) heap[to++] = held;
      }
      if (bits > 0) heap[to++] = held;
      return to;
    },
    packEven(from, end, to) {
      let held = 0;
      let bits = 0;
      for (let at = from; at < end; at++) {
        for (let bit = 7; bit > 0; bit--) held |= (((heap[at] as number) >>> bit) & 1) << bits++;
        for (; bits >= 8; bits -= 8, held >>>= 8) heap[to++] = held;
      }
      if (bits > 0) heap[to++] = held;
      return to;
    },
    triple() {},
    decode() {
      const view = viewOf(heap);
      const { job, singles } = PLANE_HEAP;
      const symbols = new Uint16Array(heap.buffer, singles, DECODE_ENTRIES);
      for (let stream = job; stream < job + 48; stream += 12) {
        let bit = view.getUint32(stream, true);
        let to = view.getUint32(stream + 4, true);
        for (const end = view.getUint32(stream + 8, true); to < end; to++) {
          const window = view.getUint32(bit >>> 3, true) >>> (bit & 7);
          const entry = symbols[window & (DECODE_ENTRIES - 1)] as number;
          heap[to] = entry;
          bit += entry >>> 8;
        }
        view.setUint32(stream, bit, true);
        view.setUint32(stream + 4, to, true);
      }
    },
  };
  return kernels;
}
