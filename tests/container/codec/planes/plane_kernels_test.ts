import { describe, expect, test } from "bun:test";
import { codeLengths } from "../../../../src/container/codec/planes/code_lengths.ts";
import { DECODE_ENTRIES, fillCodes, fillSingles } from "../../../../src/container/codec/planes/plane_code.ts";
import { PLANE_HEAP } from "../../../../src/container/codec/planes/plane_heap.ts";
import type { PlaneKernels } from "../../../../src/container/codec/planes/plane_kernels.ts";
import { portableKernels } from "../../../../src/container/codec/planes/portable_kernels.ts";
import { wasmKernels } from "../../../../src/container/codec/planes/wasm_kernels.ts";
import { randomNumbers } from "../../samples.ts";

const { counts, codes, job, lengths, singles, free, slack } = PLANE_HEAP;
const LENGTHS = [1, 7, 15, 16, 17, 31, 64, 1000, 16_384];
// First and last byte: at both ends, few and many, one alone, and all.
const RANGES = [[0, 0], [255, 255], [0, 1], [3, 50], [3, 51], [201, 255], [208, 255], [0, 255], [100, 110]];

function opened(): readonly [string, PlaneKernels][] {
  const wasm = wasmKernels();
  if (wasm === undefined) throw new Error("this runtime has no WebAssembly with SIMD");
  return [["WebAssembly", wasm], ["TypeScript", portableKernels()]];
}

/** Bytes from `first` to `last` of which the low ones are frequent; both ends occur where there is room. */
function symbolsOf(length: number, first: number, last: number): Uint8Array {
  const next = randomNumbers(length + first + last);
  const symbols = Uint8Array.from({ length }, () => first + Math.floor((last - first + 1) * next() ** 3));
  symbols[0] = last;
  symbols[length - 1] = first;
  return symbols;
}

/** FORMAT.md's words. */
function isInSample(i: number, length: number): boolean {
  const [turn, rest] = [Math.floor(i / 64), i % 64];
  if (64 * (turn + 1) > length) return true;
  const from = 8 * Math.floor(((turn * 2654435761) % 2 ** 32) / 2 ** 29);
  return rest >= from && rest < from + 8;
}

function countsOf(symbols: Uint8Array): Uint32Array {
  const table = new Uint32Array(256);
  for (const symbol of symbols) table[symbol] = (table[symbol] as number) + 1;
  return table;
}

for (const [name, kernels] of opened()) {
  describe(`the plane kernels in ${name}`, () => {
    kernels.reserve(free + (1 << 17));

    test("count bytes, or 8 of each 64, whatever was in the tables before, and find the lowest and the highest", () => {
      for (const [first = 0, last = 0] of RANGES) {
        for (const length of LENGTHS) {
          const symbols = symbolsOf(length, first, last);
          const heap = kernels.heap();
          heap.set(symbols, free);
          for (const isSampled of [false, true]) {
            heap.fill(0xee, 0, codes);
            kernels.histogram(free, length, isSampled);
            const counted = symbols.filter((_, i) => !isSampled || isInSample(i, length));
            expect([...new Uint32Array(heap.buffer, counts, 256)]).toEqual([...countsOf(counted)]);
          }
          heap.fill(0xee, free + length, free + length + slack);
          const sorted = symbols.toSorted();
          const least = sorted.find((symbol) => symbol > 0) ?? 0;
          const some = symbols.reduce((bits, symbol) => bits | symbol, 0);
          const range = (sorted[0] as number) | ((sorted.at(-1) as number) << 8) | (least << 16) |
            (some << 24);
          expect(kernels.range(free, length)).toBe(range);
        }
      }
    });

    test("make the best code of at most 12 bits, as codeLengths says", () => {
      const next = randomNumbers(5);
      const shapes: ((symbol: number) => number)[] = [
        (symbol) => symbol < 2 ? 1 : 0,
        (symbol) => symbol % 2 === 0 ? 5 : 0,
        (symbol) => 1 + symbol * symbol,
        // Plain Huffman would give these codes of up to 40 bits.
        (symbol) => symbol < 40 ? Math.floor(1.5 ** symbol) : 0,
        (symbol) => symbol > 250 ? 3_000_000 : 0,
        ...Array.from({ length: 60 }, () => {
          const [part, most] = [next(), 2 ** (23 * next())];
          return (symbol: number): number =>
            next() < part || symbol > 253 ? 1 + Math.floor(most * next() ** 4) : 0;
        }),
      ];
      for (const countOf of shapes) {
        const table = Uint32Array.from({ length: 256 }, (_, symbol) => countOf(symbol));
        const heap = kernels.heap();
        heap.fill(0xee, codes, free);
        new Uint32Array(heap.buffer, counts, 256).set(table);
        kernels.code();
        const expected = codeLengths(table, 12);
        expect([...heap.subarray(lengths, lengths + 256)]).toEqual([...expected]);
        const entries = new Uint32Array(256);
        fillCodes(expected, entries);
        expect([...new Uint32Array(heap.buffer, codes, 256)]).toEqual([...entries]);
      }
    });

    test("write even bytes in 7 bits as the code with 7 bits for each of them does", () => {
      const sevens = Uint8Array.from({ length: 256 }, (_, symbol) => symbol & 1 ? 0 : 7);
      for (const length of LENGTHS) {
        const heap = kernels.heap();
        heap.set(symbolsOf(length, 0, 255).map((symbol) => symbol & 254), free);
        fillCodes(sevens, new Uint32Array(heap.buffer, codes, 256));
        const one = free + 20_000, other = free + 50_000;
        const end = kernels.encode(free, free + length, false, one);
        expect(kernels.packEven(free, free + length, other) - other).toBe(end - one);
        expect(Buffer.compare(heap.slice(one, end), heap.slice(other, other + end - one))).toBe(0);
      }
    });

    test("leave zeros out while they split elements, as they do one after the other", () => {
      const next = randomNumbers(11);
      for (const byteSize of [2, 4, 8]) {
        for (const count of [1, 7, 15, 16, 17, 40, 1000, 1003]) {
          for (const part of [0, 0.05, 0.5, 0.97, 1]) {
            const raw = Uint8Array.from({ length: count * byteSize }, () => Math.floor(256 * next()));
            for (let i = 0; i < count; i++) {
              // Runs, so that neighbours are often all kept or all left out.
              if ((Math.imul(i >>> 3, 2654435761) >>> 0) / 2 ** 32 < part || (part < 1 && i % 41 === 5)) {
                raw.fill(0, i * byteSize, (i + 1) * byteSize);
              }
            }
            const heap = kernels.heap();
            const mask = free + 10_000, planes = free + 20_000, stride = 1088;
            const split = (): number => kernels.splitKept(free, count, byteSize, true, planes, stride, mask);
            const apart = (): number => {
              const kept = kernels.compact(free, count, byteSize, mask);
              kernels.split(free, kept, byteSize, true, planes, stride);
              return kept;
            };
            const [one, other] = [split, apart].map((work) => {
              heap.fill(0xee, free, free + 40_000);
              heap.set(raw, free);
              const kept = work();
              const starts = Array.from({ length: byteSize }, (_, plane) => planes + plane * stride);
              return [
                kept,
                [...heap.subarray(mask, mask + Math.ceil(count / 8))],
                ...starts.map((from) => [...heap.subarray(from, from + kept)]),
              ];
            });
            expect(one).toEqual(other ?? []);
          }
        }
      }
    });

    test("write the same codes one by one and by pairs, and read them again", () => {
      for (const [first = 0, last = 0] of RANGES.filter(([first, last]) => first !== last)) {
        for (const length of LENGTHS.filter((length) => length > 1)) {
          const symbols = symbolsOf(length, first, last);
          const bits = codeLengths(countsOf(symbols), 12);
          const heap = kernels.heap();
          fillCodes(bits, new Uint32Array(heap.buffer, codes, 256));
          fillSingles(bits, new Uint16Array(heap.buffer, singles, DECODE_ENTRIES));
          heap.set(symbols, free);
          const one = free + 20_000, other = free + 50_000, back = free + 80_000;
          const end = kernels.encode(free, free + length, false, one);
          kernels.pair(first, last);
          expect(heap.subarray(free, free + length).every((byte, i) => byte === symbols[i])).toBe(true);
          expect(kernels.encode(free, free + length, true, other) - other).toBe(end - one);
          expect(Buffer.compare(heap.slice(one, end), heap.slice(other, other + end - one))).toBe(0);
          // Four streams, of which three are empty.
          const streams = new Uint32Array(heap.buffer, job, 12);
          streams.set([8 * one, back, back + length]);
          for (const stream of [3, 6, 9]) streams.set([8 * end, back + length, back + length], stream);
          kernels.triple();
          kernels.decode();
          expect(Buffer.compare(heap.slice(back, back + length), symbols)).toBe(0);
          expect(Math.ceil((streams[0] as number) / 8)).toBe(end);
          expect([streams[1], streams[3]]).toEqual([back + length, 8 * end]);
        }
      }
    });
  });
}
