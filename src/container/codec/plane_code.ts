import { CairnError } from "../../base/errors.ts";

/** The most bits in a code of the codec `planes`. */
export const MAX_CODE_BITS = 12;
/** Entries of a table that decodes: one for each value of so many bits. */
export const DECODE_ENTRIES: number = 1 << MAX_CODE_BITS;

/**
 * The canonical codes of these lengths (RFC 1951, 3.2.2): for each symbol the code, reversed so that it can
 * be written lowest bit first, and its length from bit 16; 0 for symbols without a code.
 */
export function fillCodes(lengths: Uint8Array, codes: Uint32Array): void {
  const next = firstCodes(lengths);
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const bits = lengths[symbol] as number;
    codes[symbol] = bits === 0 ? 0 : reversed(take(next, bits), bits) | (bits << 16);
  }
}

/**
 * The table that decodes these lengths: for each value of the next {@link MAX_CODE_BITS} bits as many whole
 * codes as fit, at most three. From bit 0 the symbols, from bit 24 the bits that they take together, from bit
 * 28 their number. The code has to be complete ({@link checkComplete}).
 */
export function fillDecodeTable(lengths: Uint8Array, table: Uint32Array): void {
  const next = firstCodes(lengths);
  const single = new Uint16Array(DECODE_ENTRIES);
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const bits = lengths[symbol] as number;
    if (bits === 0) continue;
    const entry = symbol | (bits << 8);
    const step = 1 << bits;
    for (let at = reversed(take(next, bits), bits); at < DECODE_ENTRIES; at += step) single[at] = entry;
  }
  for (let window = 0; window < DECODE_ENTRIES; window++) table[window] = packedEntry(single, window);
}

function packedEntry(single: Uint16Array, window: number): number {
  const first = single[window] as number;
  let bits = first >>> 8;
  // What is left of the window has zeros above it, so a code that is found there may be longer than is left.
  const second = single[window >>> bits] as number;
  if (bits + (second >>> 8) > MAX_CODE_BITS) return (first & 255) | (bits << 24) | (1 << 28);
  bits += second >>> 8;
  const two = (first & 255) | ((second & 255) << 8);
  const third = single[window >>> bits] as number;
  if (bits + (third >>> 8) > MAX_CODE_BITS) return two | (bits << 24) | (2 << 28);
  bits += third >>> 8;
  return two | ((third & 255) << 16) | (bits << 24) | (3 << 28);
}

/**
 * Makes sure that every row of bits is a row of codes, and that no two codes are in each other's way. Throws
 * `CairnError("invalid_container")`.
 */
export function checkComplete(lengths: Uint8Array): void {
  let room = DECODE_ENTRIES;
  for (const bits of lengths) {
    if (bits > MAX_CODE_BITS) {
      throw new CairnError(
        "invalid_container",
        `A planes chunk is damaged: a code has ${bits} bits, of ${MAX_CODE_BITS} at most`,
      );
    }
    if (bits > 0) room -= DECODE_ENTRIES >>> bits;
  }
  if (room === 0) return;
  throw new CairnError(
    "invalid_container",
    `A planes chunk is damaged: its code is ${room > 0 ? "incomplete" : "over-full"}`,
  );
}

/** The first code of each length. */
function firstCodes(lengths: Uint8Array): Uint32Array {
  const next = new Uint32Array(MAX_CODE_BITS + 1);
  for (const bits of lengths) if (bits > 0) take(next, bits);
  for (let bits = 1, code = 0; bits <= MAX_CODE_BITS; bits++) {
    const count = next[bits] as number;
    next[bits] = code;
    code = (code + count) << 1;
  }
  return next;
}

function take(next: Uint32Array, bits: number): number {
  const value = next[bits] as number;
  next[bits] = value + 1;
  return value;
}

function reversed(code: number, bits: number): number {
  let result = 0;
  for (let i = 0; i < bits; i++, code >>>= 1) result = (result << 1) | (code & 1);
  return result;
}
