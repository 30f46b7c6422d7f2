import { CairnError } from "../../../base/errors.ts";

/** A canonical Huffman code as one table. */
export interface HuffmanCode {
  readonly maxBits: number;
  /**
   * For each value of the next `maxBits` bits: the symbol times 16, plus the bits it takes. 0 is no symbol.
   */
  readonly table: Uint16Array;
}

/**
 * The canonical code with these code lengths, 0 for symbols that do not occur (RFC 1951, 3.2.2). Codes that
 * promise more than there is room for are refused, and so are those that leave room, except where DEFLATE
 * allows it: a single symbol of one bit, or none at all.
 */
export function makeHuffmanCode(lengths: Uint8Array, kind: "complete" | "any" = "any"): HuffmanCode {
  const counts = new Uint16Array(16);
  for (const length of lengths) if (length > 0) counts[length] = (counts[length] as number) + 1;
  let maxBits = 15;
  while (maxBits > 1 && counts[maxBits] === 0) maxBits--;

  let free = 1 << maxBits;
  const next = new Uint16Array(16);
  for (let bits = 1, code = 0; bits <= maxBits; bits++) {
    next[bits] = code;
    code = (code + (counts[bits] as number)) << 1;
    free -= (counts[bits] as number) << (maxBits - bits);
  }
  const isSparse = kind === "any" && maxBits === 1;
  if (free < 0 || (free > 0 && !isSparse)) {
    throw new CairnError("invalid_container", "A zlib stream is damaged: a code is over-full or incomplete");
  }

  const table = new Uint16Array(1 << maxBits);
  for (const [symbol, bits] of lengths.entries()) {
    if (bits === 0) continue;
    const code = next[bits] as number;
    next[bits] = code + 1;
    for (let at = reversed(code, bits); at < table.length; at += 1 << bits) table[at] = (symbol << 4) | bits;
  }
  return { maxBits, table };
}

function reversed(code: number, bits: number): number {
  let result = 0;
  for (let i = 0; i < bits; i++) result |= ((code >>> i) & 1) << (bits - 1 - i);
  return result;
}
