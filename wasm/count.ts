/** Counting symbols. */

import { COUNTS, PAIRS } from "./heap";

// Tables of pairs with more rows and columns than this are slower: they fill the processor's nearest cache.
const MOST_PAIRED: usize = 48;
// From one table of pairs to the other: 65536 u16.
const APART: usize = 131072;
// Sums of columns: 256 u16.
const COLUMNS: usize = COUNTS + 1024;

/**
 * Counts how often each byte occurs, as 256 u32 at COUNTS, for at most 65536 bytes. There is room for four such
 * tables. Uses the room of PAIRS too.
 */
export function histogram(bytes: usize, length: usize): void {
  const wide = length & ~15;
  const range = rangeOf(bytes, wide);
  const first = range & 255, last = range >> 8;
  memory.fill(COUNTS, 0, 4096);
  if (wide > 0 && last - first < MOST_PAIRED) countPairs(bytes, wide, first, last);
  else countBytes(bytes, wide);
  for (let at = bytes + wide; at < bytes + length; at++) {
    const to = <usize> load<u8>(at) << 2;
    store<u32>(to, load<u32>(to, COUNTS) + 1, COUNTS);
  }
}

/** The lowest of the bytes, and from bit 8 the highest. */
function rangeOf(bytes: usize, length: usize): usize {
  let low = i8x16.splat(-1), high = i8x16.splat(0);
  for (let at = bytes; at < bytes + length; at += 16) {
    const sixteen = v128.load(at);
    low = i8x16.min_u(low, sixteen);
    high = i8x16.max_u(high, sixteen);
  }
  v128.store(COUNTS, low);
  v128.store(COUNTS, high, 16);
  let first: usize = 255, last: usize = 0;
  for (let at = COUNTS; at < COUNTS + 16; at++) {
    first = min(first, <usize> load<u8>(at));
    last = max(last, <usize> load<u8>(at, 16));
  }
  return first | (last << 8);
}

/** The tables take turns: equal bytes in a row would wait for each other in one. */
function countBytes(bytes: usize, length: usize): void {
  let to: usize;
  for (let at = bytes; at < bytes + length; at += 8) {
    to = <usize> load<u8>(at) << 2;
    store<u32>(to, load<u32>(to, COUNTS) + 1, COUNTS);
    to = <usize> load<u8>(at, 1) << 2;
    store<u32>(to, load<u32>(to, COUNTS + 1024) + 1, COUNTS + 1024);
    to = <usize> load<u8>(at, 2) << 2;
    store<u32>(to, load<u32>(to, COUNTS + 2048) + 1, COUNTS + 2048);
    to = <usize> load<u8>(at, 3) << 2;
    store<u32>(to, load<u32>(to, COUNTS + 3072) + 1, COUNTS + 3072);
    to = <usize> load<u8>(at, 4) << 2;
    store<u32>(to, load<u32>(to, COUNTS) + 1, COUNTS);
    to = <usize> load<u8>(at, 5) << 2;
    store<u32>(to, load<u32>(to, COUNTS + 1024) + 1, COUNTS + 1024);
    to = <usize> load<u8>(at, 6) << 2;
    store<u32>(to, load<u32>(to, COUNTS + 2048) + 1, COUNTS + 2048);
    to = <usize> load<u8>(at, 7) << 2;
    store<u32>(to, load<u32>(to, COUNTS + 3072) + 1, COUNTS + 3072);
  }
  for (let i: usize = 0; i < 1024; i += 16) {
    const one = i32x4.add(v128.load(i, COUNTS), v128.load(i, COUNTS + 1024));
    const two = i32x4.add(v128.load(i, COUNTS + 2048), v128.load(i, COUNTS + 3072));
    v128.store(i, i32x4.add(one, two), COUNTS);
  }
}

/**
 * Counts pairs of bytes first, which is half the work, in two tables of 65536 u16 that take turns: at index low
 * byte + 256 * high byte. Then sums their rows and columns.
 */
function countPairs(bytes: usize, length: usize, first: usize, last: usize): void {
  const nothing = i16x8.splat(0);
  for (let high = first; high <= last; high++) {
    for (let low = first; low <= last; low += 8) {
      const at = (low << 1) + (high << 9);
      v128.store(at, nothing, PAIRS);
      v128.store(at, nothing, PAIRS + APART);
    }
  }
  let to: usize;
  for (let at = bytes; at < bytes + length; at += 8) {
    to = <usize> load<u16>(at) << 1;
    store<u16>(to, load<u16>(to, PAIRS) + 1, PAIRS);
    to = <usize> load<u16>(at, 2) << 1;
    store<u16>(to, load<u16>(to, PAIRS + APART) + 1, PAIRS + APART);
    to = <usize> load<u16>(at, 4) << 1;
    store<u16>(to, load<u16>(to, PAIRS) + 1, PAIRS);
    to = <usize> load<u16>(at, 6) << 1;
    store<u16>(to, load<u16>(to, PAIRS + APART) + 1, PAIRS + APART);
  }
  for (let high = first; high <= last; high++) {
    let row = nothing;
    for (let low = first; low <= last; low += 8) {
      const at = (low << 1) + (high << 9);
      const eight = i16x8.add(v128.load(at, PAIRS), v128.load(at, PAIRS + APART));
      row = i16x8.add(row, eight);
      v128.store(low << 1, i16x8.add(v128.load(low << 1, COLUMNS), eight), COLUMNS);
    }
    const four = i32x4.extadd_pairwise_i16x8_u(row);
    const two = i32x4.add(four, v128.shuffle<u32>(four, four, 2, 3, 0, 1));
    store<u32>(high << 2, i32x4.extract_lane(two, 0) + i32x4.extract_lane(two, 1), COUNTS);
  }
  for (let low = first; low <= last; low++) {
    store<u32>(low << 2, load<u32>(low << 2, COUNTS) + load<u16>(low << 1, COLUMNS), COUNTS);
  }
}
