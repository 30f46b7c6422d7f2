/** Making codes. */

import { CODES, COUNTS, LENGTHS, PAIRS } from "./heap";

const MAX_BITS: u32 = 12;
const NEVER: u32 = 0xffffffff;
// All of this lies where the pairs will be. A leaf is a u64: how often a symbol occurs, and the symbol from bit 32.
const LEAVES: usize = PAIRS;
const SPARE_LEAVES: usize = LEAVES + 2048;
const BUCKETS: usize = SPARE_LEAVES + 2048;
const WEIGHTS: usize = BUCKETS + 1024;
const PACKAGES: usize = WEIGHTS + 1040;
const MERGED: usize = PACKAGES + 2064;
const LEAVES_BEFORE: usize = MERGED + 2064;
const LEVEL_BYTES: usize = 1040;
const NEXT: usize = LEAVES_BEFORE + 12 * LEVEL_BYTES;

/**
 * Writes to LENGTHS, as 256 u8, the lengths of the best prefix code of 12 bits at most for symbols that occur as often
 * as COUNTS says, and to CODES what `encode` needs of it. At least two symbols have to occur. By package-merge, as
 * src/container/codec/planes/code_lengths.ts says; without a branch that depends on counts, since no processor guesses
 * those.
 */
export function code(): void {
  let leafCount: usize = 0;
  let most: u32 = 0;
  for (let symbol: usize = 0; symbol < 256; symbol++) {
    const count = load<u32>(symbol << 2, COUNTS);
    store<u64>(leafCount << 3, <u64> count | (<u64> symbol << 32), LEAVES);
    leafCount += <usize> (count != 0);
    most = max(most, count);
  }
  const leaves = sortLeaves(leafCount, most);
  mergePackages(leaves, leafCount);
  countLengths(leaves, leafCount);
  fillCodes();
}

/** Sorts by count, and keeps the order of those that have the same; gives where they are then. */
function sortLeaves(leafCount: usize, most: u32): usize {
  let from = LEAVES, to = SPARE_LEAVES;
  for (let shift: u32 = 0; shift < 32 && most >> shift != 0; shift += 8) {
    memory.fill(BUCKETS, 0, 1024);
    for (let i: usize = 0; i < leafCount; i++) {
      const bucket = <usize> ((load<u32>(from + (i << 3)) >> shift) & 255) << 2;
      store<u32>(bucket, load<u32>(bucket, BUCKETS) + 1, BUCKETS);
    }
    let start: u32 = 0;
    for (let bucket: usize = 0; bucket < 1024; bucket += 4) {
      const size = load<u32>(bucket, BUCKETS);
      store<u32>(bucket, start, BUCKETS);
      start += size;
    }
    for (let i: usize = 0; i < leafCount; i++) {
      const leaf = load<u64>(from + (i << 3));
      const bucket = <usize> ((<u32> leaf >> shift) & 255) << 2;
      const place = load<u32>(bucket, BUCKETS);
      store<u32>(bucket, place + 1, BUCKETS);
      store<u64>(to + (<usize> place << 3), leaf);
    }
    const other = from;
    from = to;
    to = other;
  }
  return from;
}

/**
 * Level by level merges the leaves and the pairs of the level before, by weight, leaves first. LEAVES_BEFORE gets for
 * each level and each place how many leaves are before it.
 */
function mergePackages(leaves: usize, leafCount: usize): void {
  for (let i: usize = 0; i < leafCount; i++) store<u32>(i << 2, load<u32>(leaves + (i << 3)), WEIGHTS);
  store<u32>(leafCount << 2, NEVER, WEIGHTS);
  let packageCount: usize = 0;
  for (let level: u32 = 0; level < MAX_BITS; level++) {
    store<u32>(packageCount << 2, NEVER, PACKAGES);
    const before = LEAVES_BEFORE + <usize> level * LEVEL_BYTES;
    const length = leafCount + packageCount;
    let leaf: usize = 0, joined: usize = 0;
    for (let to: usize = 0; to < length; to++) {
      store<u16>(before + (to << 1), leaf);
      const one = load<u32>(leaf << 2, WEIGHTS), two = load<u32>(joined << 2, PACKAGES);
      const isLeaf = <usize> (one <= two);
      store<u32>(to << 2, min(one, two), MERGED);
      leaf += isLeaf;
      joined += 1 - isLeaf;
    }
    store<u16>(before + (length << 1), leaf);
    packageCount = length >> 1;
    for (let i: usize = 0; i < packageCount; i++) {
      store<u32>(i << 2, load<u32>(i << 3, MERGED) + load<u32>(i << 3, MERGED + 4), PACKAGES);
    }
  }
}

/** From the last level back: each time that a leaf is taken, its code is one bit longer. */
function countLengths(leaves: usize, leafCount: usize): void {
  memory.fill(LENGTHS, 0, 256);
  let taken = <usize> 2 * leafCount - 2;
  for (let level: i32 = MAX_BITS - 1; level >= 0; level--) {
    const count = <usize> load<u16>(LEAVES_BEFORE + <usize> level * LEVEL_BYTES + (taken << 1));
    for (let i: usize = 0; i < count; i++) {
      const symbol = <usize> load<u32>(leaves + (i << 3), 4);
      store<u8>(symbol, load<u8>(symbol, LENGTHS) + 1, LENGTHS);
    }
    taken = <usize> 2 * (taken - count);
  }
}

/** The canonical codes of LENGTHS, lowest bit first. */
function fillCodes(): void {
  memory.fill(NEXT, 0, 64);
  for (let symbol: usize = 0; symbol < 256; symbol++) {
    const to = <usize> load<u8>(symbol, LENGTHS) << 2;
    store<u32>(to, load<u32>(to, NEXT) + 1, NEXT);
  }
  for (let bits: usize = 4, next: u32 = 0; bits <= MAX_BITS << 2; bits += 4) {
    const count = load<u32>(bits, NEXT);
    store<u32>(bits, next, NEXT);
    next = (next + count) << 1;
  }
  for (let symbol: usize = 0; symbol < 256; symbol++) {
    const bits = <u32> load<u8>(symbol, LENGTHS);
    let entry: u32 = 0;
    if (bits != 0) {
      let next = load<u32>(bits << 2, NEXT);
      store<u32>(bits << 2, next + 1, NEXT);
      for (let bit: u32 = 0; bit < bits; bit++, next >>= 1) entry = (entry << 1) | (next & 1);
      entry = (entry << 8) | bits;
    }
    store<u32>(symbol << 2, entry, CODES);
  }
}
