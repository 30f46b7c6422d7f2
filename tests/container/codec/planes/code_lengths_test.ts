import { describe, expect, test } from "bun:test";
import { codeLengths } from "../../../../src/container/codec/planes/code_lengths.ts";
import { checkComplete, fillCodes, fillSingles } from "../../../../src/container/codec/planes/plane_code.ts";
import { randomNumbers } from "../../samples.ts";

function countsOf(...counts: number[]): Uint32Array {
  const table = new Uint32Array(256);
  table.set(counts);
  return table;
}

const cost = (counts: Uint32Array, lengths: Uint8Array): number =>
  counts.reduce((bits, count, symbol) => bits + count * (lengths[symbol] as number), 0);

/** Bits of the best code without a limit: the sum of all nodes of Huffman's tree. */
function huffmanCost(counts: Uint32Array): number {
  const weights = [...counts].filter((count) => count > 0).sort((a, b) => a - b);
  let bits = 0;
  while (weights.length > 1) {
    const joined = (weights.shift() as number) + (weights.shift() as number);
    bits += joined;
    const at = weights.findIndex((weight) => weight >= joined);
    weights.splice(at < 0 ? weights.length : at, 0, joined);
  }
  return bits;
}

describe("codeLengths", () => {
  test("gives short codes to frequent symbols, and none to those that do not occur", () => {
    expect([...codeLengths(countsOf(8, 4, 0, 2, 2), 11).subarray(0, 6)]).toEqual([1, 2, 0, 3, 3, 0]);
    expect([...codeLengths(countsOf(1, 1), 11).subarray(0, 2)]).toEqual([1, 1]);
  });

  test("is as good as Huffman's code where the limit does not bind", () => {
    const next = randomNumbers(1);
    for (let round = 0; round < 50; round++) {
      const counts = countsOf(...Array.from({ length: 2 + round }, () => 50 + Math.floor(next() * 100)));
      expect(cost(counts, codeLengths(counts, 11))).toBe(huffmanCost(counts));
    }
  });

  test("keeps to the limit, with a complete code, where Huffman's would be deeper", () => {
    const fibonacci = [1, 1];
    while (fibonacci.length < 40) fibonacci.push((fibonacci.at(-1) as number) + (fibonacci.at(-2) as number));
    const counts = countsOf(...fibonacci);
    const lengths = codeLengths(counts, 11);
    expect(Math.max(...lengths)).toBe(11);
    checkComplete(lengths);
    expect(cost(counts, lengths)).toBeLessThan(1.01 * huffmanCost(counts));
    checkComplete(codeLengths(new Uint32Array(256).fill(1), 11));
    checkComplete(codeLengths(Uint32Array.from({ length: 256 }, (_, i) => i ** 3 + 1), 11));
  });
});

describe("the decode table", () => {
  test("finds the symbol that each window begins with", () => {
    const lengths = codeLengths(countsOf(100, 50, 20, 9, 4, 2, 1, 1), 12);
    const codes = new Uint32Array(256);
    const singles = new Uint16Array(4096);
    fillCodes(lengths, codes);
    fillSingles(lengths, singles);
    for (const [window, entry] of singles.entries()) {
      const code = codes[entry & 255] as number;
      expect(entry >>> 8).toBe(code & 255);
      expect(window & ((1 << (code & 255)) - 1)).toBe(code >>> 8);
    }
  });
});
