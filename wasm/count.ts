/** Counting symbols. */

import { COUNTS } from "./heap";

/**
 * Counts how often each byte occurs, as 256 u32 at COUNTS. With `isSampled` only 8 of each 64 bytes are counted: where
 * among these they are changes all the time, so that data with a period are not met at the same place. There is room
 * for four tables, which take turns: equal bytes in a row would wait for each other in one.
 */
export function histogram(bytes: usize, length: usize, isSampled: bool): void {
  memory.fill(COUNTS, 0, 4096);
  const end = bytes + length;
  let at = bytes;
  if (isSampled) {
    for (let turn: u32 = 0; at + 64 <= end; at += 64, turn += 2654435761) countEight(at + (turn >> 29 << 3));
  } else {
    for (; at + 8 <= end; at += 8) countEight(at);
  }
  for (; at < end; at++) {
    const to = <usize> load<u8>(at) << 2;
    store<u32>(to, load<u32>(to, COUNTS) + 1, COUNTS);
  }
  for (let i: usize = 0; i < 1024; i += 16) {
    const one = i32x4.add(v128.load(i, COUNTS), v128.load(i, COUNTS + 1024));
    const two = i32x4.add(v128.load(i, COUNTS + 2048), v128.load(i, COUNTS + 3072));
    v128.store(i, i32x4.add(one, two), COUNTS);
  }
}

function countEight(at: usize): void {
  let to = <usize> load<u8>(at) << 2;
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

/**
 * The lowest of the bytes; from bit 8 the highest; from bit 16 the lowest that is not 0, if there is one; from bit 24
 * the bits that any of them has.
 */
export function range(bytes: usize, length: usize): usize {
  const wide = bytes + (length & ~15), one = i8x16.splat(1);
  // Less one, a 0 becomes the highest of all.
  let low = i8x16.splat(-1), high = i8x16.splat(0), above = i8x16.splat(-1);
  let some = i8x16.splat(0);
  for (let at = bytes; at < wide; at += 16) {
    const sixteen = v128.load(at);
    low = i8x16.min_u(low, sixteen);
    high = i8x16.max_u(high, sixteen);
    above = i8x16.min_u(above, i8x16.sub(sixteen, one));
    some = v128.or(some, sixteen);
  }
  v128.store(COUNTS, low);
  v128.store(COUNTS, high, 16);
  v128.store(COUNTS, above, 32);
  v128.store(COUNTS, some, 48);
  let first: u32 = 255, last: u32 = 0, least: u32 = 255, bits: u32 = 0;
  for (let at = COUNTS; at < COUNTS + 16; at++) {
    first = min(first, load<u8>(at));
    last = max(last, load<u8>(at, 16));
    least = min(least, load<u8>(at, 32));
    bits |= load<u8>(at, 48);
  }
  for (let at = wide; at < bytes + length; at++) {
    const byte = <u32> load<u8>(at);
    first = min(first, byte);
    last = max(last, byte);
    least = min(least, (byte - 1) & 255);
    bits |= byte;
  }
  return first | (last << 8) | (((least + 1) & 255) << 16) | (bits << 24);
}
