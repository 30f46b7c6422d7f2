import { CairnError } from "../../../base/errors.ts";

/** The most bits in a code of the codec `planes`. */
export const MAX_CODE_BITS = 12;
/** Entries of a table that decodes: one for each value of so many bits. */
export const DECODE_ENTRIES: number = 1 << MAX_CODE_BITS;

/**
 * The canonical codes of these lengths (RFC 1951, 3.2.2): for each symbol the length, and from bit 8 the code,
 * reversed so that it can be written lowest bit first; 0 for symbols without a code.
 */
export function fillCodes(lengths: Uint8Array, codes: Uint32Array): void {
  const next = firstCodes(lengths);
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const bits = lengths[symbol] as number;
    codes[symbol] = bits === 0 ? 0 : bits | (reversed(take(next, bits), bits) << 8);
  }
}

/**
 * The table that decodes these lengths: for each value of the next {@link MAX_CODE_BITS} bits the symbol whose
 * code they begin with, and from bit 8 the length of that code. The code has to be complete ({@link checkComplete}).
 */
export function fillSingles(lengths: Uint8Array, singles: Uint16Array): void {
  const next = firstCodes(lengths);
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const bits = lengths[symbol] as number;
    if (bits === 0) continue;
    const entry = symbol | (bits << 8);
    const step = 1 << bits;
    for (let at = reversed(take(next, bits), bits); at < DECODE_ENTRIES; at += step) singles[at] = entry;
  }
}

/**
 * Makes sure that every row of bits is a row of codes, and that no two codes are in each other's way. Throws
 * `CairnError("invalid_container")`.
 */
export function checkComplete(lengths: Uint8Array): void {
  let unused = DECODE_ENTRIES;
  for (const bits of lengths) {
    if (bits > MAX_CODE_BITS) {
      throw new CairnError(
        "invalid_container",
        `A planes chunk is damaged: a code has ${bits} bits, of ${MAX_CODE_BITS} at most`,
      );
    }
    if (bits > 0) unused -= DECODE_ENTRIES >>> bits;
  }
  if (unused === 0) return;
  throw new CairnError(
    "invalid_container",
    `A planes chunk is damaged: its code is ${unused > 0 ? "incomplete" : "over-full"}`,
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
