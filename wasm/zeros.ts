/** Elements that are zero, left out and put in again. */

import { SHUFFLES } from "./heap";

/**
 * Moves the elements of which not all bits are zero together, in place, and gives their number. `mask` gets
 * one bit for each element, from the lowest bit of each byte up: whether it was kept.
 */
export function compact(raw: usize, count: usize, byteSize: i32, mask: usize): usize {
  const kept = byteSize == 4
    ? compactOf<u32>(raw, count, mask)
    : byteSize == 2
    ? compactOf<u16>(raw, count, mask)
    : byteSize == 8
    ? compactOf<u64>(raw, count, mask)
    : compactOf<u8>(raw, count, mask);
  return kept;
}

/** The inverse of `compact`, in place, for as many elements as `mask` has bits. */
export function expand(raw: usize, kept: usize, count: usize, byteSize: i32, mask: usize): void {
  if (byteSize == 4) expandOf<u32>(raw, kept, count, mask);
  else if (byteSize == 2) expandOf<u16>(raw, kept, count, mask);
  else if (byteSize == 8) expandOf<u64>(raw, kept, count, mask);
  else expandOf<u8>(raw, kept, count, mask);
}

/** Number of bits in `length` bytes. */
export function ones(bytes: usize, length: usize): usize {
  let total: u64 = 0;
  let at: usize = 0;
  for (; at + 8 <= length; at += 8) total += popcnt(load<u64>(bytes + at));
  for (; at < length; at++) total += popcnt(<u64> load<u8>(bytes + at));
  return <usize> total;
}

function compactOf<T>(raw: usize, count: usize, mask: usize): usize {
  fillShuffles(lanesOf<T>(), sizeof<T>(), false);
  let to = raw;
  let i: usize = 0;
  for (; i + 8 <= count; i += 8) {
    let bits: u32 = 0;
    for (let lane: u32 = 0; lane < 8; lane += lanesOf<T>()) {
      const elements = loadLanes<T>(raw + (i + lane) * sizeof<T>());
      const kept = <u32> v128.bitmask<T>(v128.ne<T>(elements, v128.splat<T>(0))) & ((1 << lanesOf<T>()) - 1);
      storeLanes<T>(to, v128.swizzle(elements, v128.load(kept << 4, SHUFFLES)));
      to += popcnt(kept) * sizeof<T>();
      bits |= kept << lane;
    }
    store<u8>(mask + (i >> 3), bits);
  }
  for (let bits: u32 = 0; i < count; i++) {
    const element = load<T>(raw + i * sizeof<T>());
    const isKept = <u32> (element != 0);
    store<T>(to, element);
    to += isKept * sizeof<T>();
    bits |= isKept << <u32> (i & 7);
    store<u8>(mask + (i >> 3), bits);
  }
  return (to - raw) / sizeof<T>();
}

// From the end to the beginning, so that nothing is overwritten that is still to be read.
function expandOf<T>(raw: usize, kept: usize, count: usize, mask: usize): void {
  fillShuffles(lanesOf<T>(), sizeof<T>(), true);
  let from = raw + kept * sizeof<T>();
  let i = count;
  while (i & 7) {
    i--;
    const isKept = <usize> ((load<u8>(mask + (i >> 3)) >> <u8> (i & 7)) & 1);
    from -= isKept * sizeof<T>();
    // What is read where nothing was kept is not used; it lies within the heap.
    const element = load<T>(from);
    store<T>(raw + i * sizeof<T>(), isKept ? element : <T> 0);
  }
  while (i > 0) {
    i -= 8;
    const bits = <u32> load<u8>(mask + (i >> 3));
    for (let lane: u32 = 8; lane > 0;) {
      lane -= lanesOf<T>();
      const chosen = (bits >> lane) & ((1 << lanesOf<T>()) - 1);
      from -= popcnt(chosen) * sizeof<T>();
      const elements = v128.swizzle(loadLanes<T>(from), v128.load(chosen << 4, SHUFFLES));
      storeLanes<T>(raw + (i + lane) * sizeof<T>(), elements);
    }
  }
}

/** How many elements are moved at once: what fits into a vector, and 8 bytes. */
function lanesOf<T>(): u32 {
  return sizeof<T>() == 8 ? 2 : sizeof<T>() == 4 ? 4 : 8;
}

function loadLanes<T>(from: usize): v128 {
  return sizeof<T>() == 1 ? v128.load_zero<u64>(from) : v128.load(from);
}

function storeLanes<T>(to: usize, elements: v128): void {
  if (sizeof<T>() == 1) v128.store_lane<u64>(to, elements, 0);
  else v128.store(to, elements);
}

/**
 * For each choice of lanes, given as bits, the shuffle that moves these lanes together; or its inverse, which puts zeros
 * between them.
 */
export function fillShuffles(lanes: u32, byteSize: u32, isInverse: bool): void {
  memory.fill(SHUFFLES, 0x80, 16 << lanes);
  for (let bits: u32 = 0; bits < (<u32> 1 << lanes); bits++) {
    const shuffle = SHUFFLES + (bits << 4);
    for (let lane: u32 = 0, together: u32 = 0; lane < lanes; lane++) {
      if (!((bits >> lane) & 1)) continue;
      const from = isInverse ? together : lane, to = isInverse ? lane : together;
      for (let byte: u32 = 0; byte < byteSize; byte++) {
        store<u8>(shuffle + to * byteSize + byte, from * byteSize + byte);
      }
      together++;
    }
  }
}
