/** Reading codes. */

import { JOB, SINGLES, TRIPLES } from "./heap";

/**
 * Fills TRIPLES from SINGLES. Both have for each value of the next 12 bits what these begin with. SINGLES has
 * a u16: a symbol, and from bit 8 the length of its code. TRIPLES has a u32: the length of as many whole codes
 * as fit, three at most; from bit 6 how many they are; from bit 8 their symbols.
 */
export function triple(): void {
  for (let window: usize = 0; window < 4096; window++) {
    const one = <u32> load<u16>(window << 1, SINGLES);
    let used = one >> 8;
    let entry = (1 << 6) | (one << 8 & 0xff00);
    // What is left of the window has zeros above it, so a code that is found there may be longer than is left.
    const two = <u32> load<u16>((window >> used) << 1, SINGLES);
    if (used + (two >> 8) <= 12) {
      used += two >> 8;
      entry += (1 << 6) | ((two & 255) << 16);
      const three = <u32> load<u16>((window >> used) << 1, SINGLES);
      if (used + (three >> 8) <= 12) {
        used += three >> 8;
        entry += (1 << 6) | ((three & 255) << 24);
      }
    }
    store<u32>(window << 2, entry | used, TRIPLES);
  }
}

/**
 * Decodes four streams, which lie one after the other, at once. JOB has for each of them three u32: where its
 * bits begin (as an address, in bits), where its symbols go, and where they end; the first two are moved to
 * where decoding ended.
 */
export function decode(): void {
  let bit0 = load<u32>(JOB), to0 = load<u32>(JOB + 4);
  let bit1 = load<u32>(JOB + 12), to1 = load<u32>(JOB + 16);
  let bit2 = load<u32>(JOB + 24), to2 = load<u32>(JOB + 28);
  let bit3 = load<u32>(JOB + 36), to3 = load<u32>(JOB + 40);
  const end0 = load<u32>(JOB + 8), end1 = load<u32>(JOB + 20);
  const end2 = load<u32>(JOB + 32), end3 = load<u32>(JOB + 44);
  for (;;) {
    // A turn makes at most 12 symbols of a stream, and writes one byte more.
    let turns = min(min(turnsTo(to0, end0), turnsTo(to1, end1)), min(turnsTo(to2, end2), turnsTo(to3, end3)));
    if (turns <= 0) break;
    for (; turns > 0; turns--) {
      let held0 = held(bit0), held1 = held(bit1), held2 = held(bit2), held3 = held(bit3);
      // Four times the same, written out: a loop takes V8 a third longer.
      let entry0 = entryOf(held0), entry1 = entryOf(held1), entry2 = entryOf(held2), entry3 = entryOf(held3);
      store<u32>(to0, entry0 >> 8);
      store<u32>(to1, entry1 >> 8);
      store<u32>(to2, entry2 >> 8);
      store<u32>(to3, entry3 >> 8);
      // A shift looks at the lowest six bits of its distance only: at the length of what was found.
      held0 >>= entry0, held1 >>= entry1, held2 >>= entry2, held3 >>= entry3;
      to0 += (entry0 >> 6) & 3, to1 += (entry1 >> 6) & 3, to2 += (entry2 >> 6) & 3, to3 += (entry3 >> 6) & 3;

      entry0 = entryOf(held0), entry1 = entryOf(held1), entry2 = entryOf(held2), entry3 = entryOf(held3);
      store<u32>(to0, entry0 >> 8);
      store<u32>(to1, entry1 >> 8);
      store<u32>(to2, entry2 >> 8);
      store<u32>(to3, entry3 >> 8);
      held0 >>= entry0, held1 >>= entry1, held2 >>= entry2, held3 >>= entry3;
      to0 += (entry0 >> 6) & 3, to1 += (entry1 >> 6) & 3, to2 += (entry2 >> 6) & 3, to3 += (entry3 >> 6) & 3;

      entry0 = entryOf(held0), entry1 = entryOf(held1), entry2 = entryOf(held2), entry3 = entryOf(held3);
      store<u32>(to0, entry0 >> 8);
      store<u32>(to1, entry1 >> 8);
      store<u32>(to2, entry2 >> 8);
      store<u32>(to3, entry3 >> 8);
      held0 >>= entry0, held1 >>= entry1, held2 >>= entry2, held3 >>= entry3;
      to0 += (entry0 >> 6) & 3, to1 += (entry1 >> 6) & 3, to2 += (entry2 >> 6) & 3, to3 += (entry3 >> 6) & 3;

      entry0 = entryOf(held0), entry1 = entryOf(held1), entry2 = entryOf(held2), entry3 = entryOf(held3);
      store<u32>(to0, entry0 >> 8);
      store<u32>(to1, entry1 >> 8);
      store<u32>(to2, entry2 >> 8);
      store<u32>(to3, entry3 >> 8);
      held0 >>= entry0, held1 >>= entry1, held2 >>= entry2, held3 >>= entry3;
      to0 += (entry0 >> 6) & 3, to1 += (entry1 >> 6) & 3, to2 += (entry2 >> 6) & 3, to3 += (entry3 >> 6) & 3;

      bit0 += <u32> clz(held0), bit1 += <u32> clz(held1), bit2 += <u32> clz(held2), bit3 += <u32> clz(held3);
    }
  }
  finish(JOB, bit0, to0, end0);
  finish(JOB + 12, bit1, to1, end1);
  finish(JOB + 24, bit2, to2, end2);
  finish(JOB + 36, bit3, to3, end3);
}

function turnsTo(to: usize, end: usize): i32 {
  return (<i32> end - <i32> to - 4) / 12;
}

/**
 * The 57 bits at `bit`, or a few more, from the third lowest bit up, which is what an index of words wants. A
 * one at the top tells later how far they were shifted since. Four times twelve of them will be used.
 */
function held(bit: u32): u64 {
  return ((load<u64>(<usize> bit >> 3) >> <u64> (bit & 7)) << 2) | (<u64> 1 << 63);
}

function entryOf(held: u64): u32 {
  return load<u32>(<usize> held & 0x3ffc, TRIPLES);
}

/** The rest of one stream: by threes while there is room, then symbol by symbol. */
function finish(job: usize, bit: u32, to: usize, end: usize): void {
  while (to + 4 <= end) {
    const entry = entryOf(held(bit));
    store<u32>(to, entry >> 8);
    bit += entry & 63;
    to += (entry >> 6) & 3;
  }
  while (to < end) {
    const entry = <u32> load<u16>((<usize> held(bit) & 0x3ffc) >> 1, SINGLES);
    store<u8>(to++, entry);
    bit += entry >> 8;
  }
  store<u32>(job, bit);
  store<u32>(job, <u32> to, 4);
}
