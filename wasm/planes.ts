/**
 * The inner loops of the codec `planes`, in AssemblyScript: TypeScript's syntax, compiled to WebAssembly by
 * `node tools/build_wasm.mjs`, which writes src/container/codec/planes_wasm.ts. Their twins in plain
 * TypeScript, for reading and for hosts without WebAssembly, are in src/container/codec/portable_kernels.ts;
 * tests hold that both give the same bytes, and that the module in the tree is the one this source makes.
 *
 * All parameters are addresses and counts in the module's one memory, which the caller lays out. Nothing here
 * checks them. Addresses have room for 64 bytes more than what is behind them.
 */

/**
 * Splits `count` elements of `byteSize` bytes (2, 4 or 8) into planes, each `stride` bytes behind the one
 * before. With `rotate` each element is first rotated left by one bit, so that the sign becomes the lowest.
 */
export function split(
  raw: usize,
  count: usize,
  byteSize: i32,
  rotate: bool,
  planes: usize,
  stride: usize,
): void {
  if (byteSize == 4) splitWords(raw, count, rotate, planes, stride);
  else if (byteSize == 2) splitHalves(raw, count, rotate, planes, stride);
  else splitDoubles(raw, count, rotate, planes, stride);
}

/** The inverse of `split`. */
export function merge(
  planes: usize,
  stride: usize,
  count: usize,
  byteSize: i32,
  rotate: bool,
  raw: usize,
): void {
  if (byteSize == 4) mergeWords(planes, stride, count, rotate, raw);
  else if (byteSize == 2) mergeHalves(planes, stride, count, rotate, raw);
  else mergeDoubles(planes, stride, count, rotate, raw);
}

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

/**
 * Adds up how often each byte occurs, as 256 u32 at `counts`, which has room for four times as many: equal
 * bytes in a row would wait for each other in one table.
 */
export function histogram(bytes: usize, length: usize, counts: usize): void {
  memory.fill(counts, 0, 4096);
  let at = bytes;
  const end = bytes + length;
  for (; at + 8 <= end; at += 8) {
    const eight = load<u64>(at);
    count(counts, 0, <usize> (eight & 255));
    count(counts, 1024, <usize> ((eight >> 8) & 255));
    count(counts, 2048, <usize> ((eight >> 16) & 255));
    count(counts, 3072, <usize> ((eight >> 24) & 255));
    count(counts, 0, <usize> ((eight >> 32) & 255));
    count(counts, 1024, <usize> ((eight >> 40) & 255));
    count(counts, 2048, <usize> ((eight >> 48) & 255));
    count(counts, 3072, <usize> (eight >> 56));
  }
  for (; at < end; at++) count(counts, 0, load<u8>(at));
  for (let i: usize = 0; i < 1024; i += 16) {
    const one = i32x4.add(v128.load(counts + i), v128.load(counts + i, 1024));
    const two = i32x4.add(v128.load(counts + i, 2048), v128.load(counts + i, 3072));
    v128.store(counts + i, i32x4.add(one, two));
  }
}

// @ts-ignore: decorator

function count(counts: usize, table: usize, byte: usize): void {
  const at = counts + table + (byte << 2);
  store<u32>(at, load<u32>(at) + 1);
}

/**
 * Fills the table for two bytes at a time from `codes`, for bytes from `first` to `last`: at index low byte +
 * 256 * high byte a u32, both codes, and from bit 24 how long they are together.
 */
export function pair(codes: usize, first: usize, last: usize, pairs: usize): void {
  for (let high = first; high <= last; high++) {
    const highCode = load<u32>(codes + (high << 2));
    if (highCode == 0) continue;
    for (let low = first; low <= last; low++) {
      const lowCode = load<u32>(codes + (low << 2));
      const lowBits = lowCode >> 16;
      const code = (lowCode & 0xffff) | ((highCode & 0xffff) << lowBits);
      store<u32>(pairs + ((low | (high << 8)) << 2), code | ((lowBits + (highCode >> 16)) << 24));
    }
  }
}

/**
 * Writes the codes of the bytes from `from` to `end` to `to`, lowest bit first, and gives the address behind
 * them. `codes` has for each byte a u32: the code, and its length (12 bits at most) from bit 16. `pairs` is
 * the table of `pair`, or 0 where it was not worth making.
 */
export function encode(from: usize, end: usize, codes: usize, pairs: usize, to: usize): usize {
  let held: u64 = 0;
  let bits: u64 = 0;
  if (pairs != 0) {
    // Two pairs are 48 bits at most; with the seven that may be left over they fit.
    for (; from + 4 <= end; from += 4) {
      const four = load<u32>(from);
      let code = load<u32>(pairs + (<usize> (four & 0xffff) << 2));
      held |= <u64> (code & 0xffffff) << bits;
      bits += code >> 24;
      code = load<u32>(pairs + (<usize> (four >> 16) << 2));
      held |= <u64> (code & 0xffffff) << bits;
      bits += code >> 24;
      store<u64>(to, held);
      to += <usize> (bits >> 3);
      held >>= bits & ~7;
      bits &= 7;
    }
  }
  for (; from + 4 <= end; from += 4) {
    let code = load<u32>(codes + (<usize> load<u8>(from) << 2));
    held |= <u64> (code & 0xffff) << bits;
    bits += code >> 16;
    code = load<u32>(codes + (<usize> load<u8>(from, 1) << 2));
    held |= <u64> (code & 0xffff) << bits;
    bits += code >> 16;
    code = load<u32>(codes + (<usize> load<u8>(from, 2) << 2));
    held |= <u64> (code & 0xffff) << bits;
    bits += code >> 16;
    code = load<u32>(codes + (<usize> load<u8>(from, 3) << 2));
    held |= <u64> (code & 0xffff) << bits;
    bits += code >> 16;
    store<u64>(to, held);
    to += <usize> (bits >> 3);
    held >>= bits & ~7;
    bits &= 7;
  }
  for (; from < end; from++) {
    const code = load<u32>(codes + (<usize> load<u8>(from) << 2));
    held |= <u64> (code & 0xffff) << bits;
    bits += code >> 16;
  }
  store<u64>(to, held);
  return to + <usize> ((bits + 7) >> 3);
}

/**
 * Decodes four streams, which lie one after the other, at once. `job` is four times three u32: where the
 * stream's bits begin (as an address, in bits), where its symbols go, and where they end; the first two are
 * moved to where decoding ended. `table` has 4096 u32, for each value of the next 12 bits: up to three
 * symbols, from bit 24 how many bits they take together, and from bit 28 how many there are. `lengths` has
 * the length of each symbol's code.
 */
export function decode(job: usize, table: usize, lengths: usize): void {
  let bit0: u64 = load<u32>(job), to0: usize = load<u32>(job, 4);
  let bit1: u64 = load<u32>(job, 12), to1: usize = load<u32>(job, 16);
  let bit2: u64 = load<u32>(job, 24), to2: usize = load<u32>(job, 28);
  let bit3: u64 = load<u32>(job, 36), to3: usize = load<u32>(job, 40);
  // A turn makes at most 12 symbols of a stream, and writes one byte more.
  const last0 = <isize> load<u32>(job, 8) - 16, last1 = <isize> load<u32>(job, 20) - 16;
  const last2 = <isize> load<u32>(job, 32) - 16, last3 = <isize> load<u32>(job, 44) - 16;
  while (<isize> to0 <= last0 && <isize> to1 <= last1 && <isize> to2 <= last2 && <isize> to3 <= last3) {
    let held0 = load<u64>(<usize> (bit0 >> 3)) >> (bit0 & 7);
    let held1 = load<u64>(<usize> (bit1 >> 3)) >> (bit1 & 7);
    let held2 = load<u64>(<usize> (bit2 >> 3)) >> (bit2 & 7);
    let held3 = load<u64>(<usize> (bit3 >> 3)) >> (bit3 & 7);
    // 57 bits are there at least: enough for four times twelve.
    for (let turn = 0; turn < 4; turn++) {
      const entry0 = load<u32>(table + (<usize> (held0 & 4095) << 2));
      const entry1 = load<u32>(table + (<usize> (held1 & 4095) << 2));
      const entry2 = load<u32>(table + (<usize> (held2 & 4095) << 2));
      const entry3 = load<u32>(table + (<usize> (held3 & 4095) << 2));
      store<u32>(to0, entry0);
      store<u32>(to1, entry1);
      store<u32>(to2, entry2);
      store<u32>(to3, entry3);
      const used0 = <u64> ((entry0 >> 24) & 15), used1 = <u64> ((entry1 >> 24) & 15);
      const used2 = <u64> ((entry2 >> 24) & 15), used3 = <u64> ((entry3 >> 24) & 15);
      held0 >>= used0;
      held1 >>= used1;
      held2 >>= used2;
      held3 >>= used3;
      bit0 += used0;
      bit1 += used1;
      bit2 += used2;
      bit3 += used3;
      to0 += entry0 >> 28;
      to1 += entry1 >> 28;
      to2 += entry2 >> 28;
      to3 += entry3 >> 28;
    }
  }
  finish(job, bit0, to0, table, lengths);
  finish(job + 12, bit1, to1, table, lengths);
  finish(job + 24, bit2, to2, table, lengths);
  finish(job + 36, bit3, to3, table, lengths);
}

/** The rest of one stream: by threes while there is room, then symbol by symbol. */
function finish(job: usize, bit: u64, to: usize, table: usize, lengths: usize): void {
  const end = load<u32>(job, 8);
  while (to + 4 <= end) {
    const held = load<u64>(<usize> (bit >> 3)) >> (bit & 7);
    const entry = load<u32>(table + (<usize> (held & 4095) << 2));
    store<u32>(to, entry);
    bit += (entry >> 24) & 15;
    to += entry >> 28;
  }
  while (to < end) {
    const held = load<u64>(<usize> (bit >> 3)) >> (bit & 7);
    const symbol = load<u8>(table + (<usize> (held & 4095) << 2));
    store<u8>(to++, symbol);
    bit += load<u8>(lengths + symbol);
  }
  store<u32>(job, <u32> bit);
  store<u32>(job, <u32> to, 4);
}

function splitWords(raw: usize, count: usize, rotate: bool, planes: usize, stride: usize): void {
  const wide = count & ~15;
  for (let i: usize = 0; i < wide; i += 16) {
    const at = raw + (i << 2), to = planes + i;
    const a = byteGroups(v128.load(at), rotate), b = byteGroups(v128.load(at, 16), rotate);
    const c = byteGroups(v128.load(at, 32), rotate), d = byteGroups(v128.load(at, 48), rotate);
    // The four by four words of these are transposed.
    const ab = v128.shuffle<u32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<u32>(c, d, 0, 4, 1, 5);
    const ef = v128.shuffle<u32>(a, b, 2, 6, 3, 7), gh = v128.shuffle<u32>(c, d, 2, 6, 3, 7);
    v128.store(to, v128.shuffle<u64>(ab, cd, 0, 2));
    v128.store(to + stride, v128.shuffle<u64>(ab, cd, 1, 3));
    v128.store(to + 2 * stride, v128.shuffle<u64>(ef, gh, 0, 2));
    v128.store(to + 3 * stride, v128.shuffle<u64>(ef, gh, 1, 3));
  }
  for (let i = wide; i < count; i++) {
    let word = load<u32>(raw + (i << 2));
    if (rotate) word = rotl(word, 1);
    for (let plane: usize = 0; plane < 4; plane++, word >>= 8) store<u8>(planes + plane * stride + i, word);
  }
}

/** Four words as their four lowest bytes, their four next ones, and so on. */
// @ts-ignore: decorator

function byteGroups(words: v128, rotate: bool): v128 {
  const turned = rotate ? v128.or(i32x4.shl(words, 1), i32x4.shr_u(words, 31)) : words;
  return v128.shuffle<u8>(turned, turned, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}

function mergeWords(planes: usize, stride: usize, count: usize, rotate: bool, raw: usize): void {
  const wide = count & ~15;
  for (let i: usize = 0; i < wide; i += 16) {
    const from = planes + i, to = raw + (i << 2);
    const a = v128.load(from), b = v128.load(from + stride);
    const c = v128.load(from + 2 * stride), d = v128.load(from + 3 * stride);
    const ab = interleaveLow(a, b), AB = interleaveHigh(a, b);
    const cd = interleaveLow(c, d), CD = interleaveHigh(c, d);
    storeWords(to, v128.shuffle<u16>(ab, cd, 0, 8, 1, 9, 2, 10, 3, 11), rotate);
    storeWords(to + 16, v128.shuffle<u16>(ab, cd, 4, 12, 5, 13, 6, 14, 7, 15), rotate);
    storeWords(to + 32, v128.shuffle<u16>(AB, CD, 0, 8, 1, 9, 2, 10, 3, 11), rotate);
    storeWords(to + 48, v128.shuffle<u16>(AB, CD, 4, 12, 5, 13, 6, 14, 7, 15), rotate);
  }
  for (let i = wide; i < count; i++) {
    let word: u32 = 0;
    for (let plane: usize = 0; plane < 4; plane++) {
      word |= <u32> load<u8>(planes + plane * stride + i) << (<u32> plane << 3);
    }
    store<u32>(raw + (i << 2), rotate ? rotr(word, 1) : word);
  }
}

// @ts-ignore: decorator

function storeWords(to: usize, words: v128, rotate: bool): void {
  v128.store(to, rotate ? v128.or(i32x4.shr_u(words, 1), i32x4.shl(words, 31)) : words);
}

// @ts-ignore: decorator

function interleaveLow(a: v128, b: v128): v128 {
  return v128.shuffle<u8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

// @ts-ignore: decorator

function interleaveHigh(a: v128, b: v128): v128 {
  return v128.shuffle<u8>(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

function splitHalves(raw: usize, count: usize, rotate: bool, planes: usize, stride: usize): void {
  const wide = count & ~15;
  for (let i: usize = 0; i < wide; i += 16) {
    let a = v128.load(raw + (i << 1)), b = v128.load(raw + (i << 1), 16);
    if (rotate) {
      a = v128.or(i16x8.shl(a, 1), i16x8.shr_u(a, 15));
      b = v128.or(i16x8.shl(b, 1), i16x8.shr_u(b, 15));
    }
    v128.store(
      planes + i,
      v128.shuffle<u8>(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
    );
    v128.store(
      planes + stride + i,
      v128.shuffle<u8>(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31),
    );
  }
  for (let i = wide; i < count; i++) {
    let half: u32 = load<u16>(raw + (i << 1));
    if (rotate) half = (half << 1) | (half >> 15);
    store<u8>(planes + i, half);
    store<u8>(planes + stride + i, half >> 8);
  }
}

function mergeHalves(planes: usize, stride: usize, count: usize, rotate: bool, raw: usize): void {
  const wide = count & ~15;
  for (let i: usize = 0; i < wide; i += 16) {
    const low = v128.load(planes + i), high = v128.load(planes + stride + i);
    let a = interleaveLow(low, high), b = interleaveHigh(low, high);
    if (rotate) {
      a = v128.or(i16x8.shr_u(a, 1), i16x8.shl(a, 15));
      b = v128.or(i16x8.shr_u(b, 1), i16x8.shl(b, 15));
    }
    v128.store(raw + (i << 1), a);
    v128.store(raw + (i << 1), b, 16);
  }
  for (let i = wide; i < count; i++) {
    const half: u32 = <u32> load<u8>(planes + i) | (<u32> load<u8>(planes + stride + i) << 8);
    store<u16>(raw + (i << 1), rotate ? (half >> 1) | (half << 15) : half);
  }
}

function splitDoubles(raw: usize, count: usize, rotate: bool, planes: usize, stride: usize): void {
  for (let i: usize = 0; i < count; i++) {
    let element = load<u64>(raw + (i << 3));
    if (rotate) element = rotl(element, 1);
    for (let plane: usize = 0; plane < 8; plane++, element >>= 8) {
      store<u8>(planes + plane * stride + i, element);
    }
  }
}

function mergeDoubles(planes: usize, stride: usize, count: usize, rotate: bool, raw: usize): void {
  for (let i: usize = 0; i < count; i++) {
    let element: u64 = 0;
    for (let plane: usize = 0; plane < 8; plane++) {
      element |= <u64> load<u8>(planes + plane * stride + i) << (<u64> plane << 3);
    }
    store<u64>(raw + (i << 3), rotate ? rotr(element, 1) : element);
  }
}
