/** Elements that are zero, left out and put in again. */

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
  let to = raw;
  for (let i: usize = 0; i < count; i += 8) {
    let bits: u32 = 0;
    const end = min(8, count - i);
    for (let j: usize = 0; j < end; j++) {
      const element = load<T>(raw + (i + j) * sizeof<T>());
      const isKept = <u32> (element != 0);
      store<T>(to, element);
      to += isKept * sizeof<T>();
      bits |= isKept << <u32> j;
    }
    store<u8>(mask + (i >> 3), bits);
  }
  return (to - raw) / sizeof<T>();
}

function expandOf<T>(raw: usize, kept: usize, count: usize, mask: usize): void {
  let from = raw + kept * sizeof<T>();
  for (let i = count; i > 0;) {
    i--;
    const isKept = <usize> ((load<u8>(mask + (i >> 3)) >> <u8> (i & 7)) & 1);
    from -= isKept * sizeof<T>();
    // What is read where nothing was kept is not used; it lies within the heap.
    const element = load<T>(from);
    store<T>(raw + i * sizeof<T>(), isKept ? element : <T> 0);
  }
}
