/** Byte planes: elements to planes, and planes to elements. */

import { SHUFFLES } from "./heap";
import { compact, fillShuffles } from "./zeros";

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

/**
 * `compact` and then `split`: the planes get only the elements of which not all bits are zero. Gives their number;
 * `mask` says which. What is at `raw` is lost.
 */
export function splitKept(
  raw: usize,
  count: usize,
  byteSize: i32,
  rotate: bool,
  planes: usize,
  stride: usize,
  mask: usize,
): usize {
  if (byteSize == 4) return splitKeptWords(raw, count, rotate, planes, stride, mask);
  const kept = compact(raw, count, byteSize, mask);
  split(raw, kept, byteSize, rotate, planes, stride);
  return kept;
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

function splitWords(raw: usize, count: usize, rotate: bool, planes: usize, stride: usize): void {
  const wide = count & ~15;
  for (let i: usize = 0; i < wide; i += 16) {
    const at = raw + (i << 2), to = planes + i;
    const a = byteGroups(v128.load(at), rotate), b = byteGroups(v128.load(at, 16), rotate);
    const c = byteGroups(v128.load(at, 32), rotate), d = byteGroups(v128.load(at, 48), rotate);
    storeFourPlanes(to, stride, a, b, c, d);
  }
  for (let i = wide; i < count; i++) {
    let word = load<u32>(raw + (i << 2));
    if (rotate) word = rotl(word, 1);
    for (let plane: usize = 0; plane < 4; plane++, word >>= 8) store<u8>(planes + plane * stride + i, word);
  }
}

/** Splits 16 words first, and then moves together what is kept of each plane: a shuffle moves more bytes than words. */
function splitKeptWords(
  raw: usize,
  count: usize,
  rotate: bool,
  planes: usize,
  stride: usize,
  mask: usize,
): usize {
  fillShuffles(8, 1, false);
  const zero = i8x16.splat(0), eight = i8x16.splat(8);
  const wide = count & ~15;
  let to = planes;
  for (let i: usize = 0; i < wide; i += 16) {
    const at = raw + (i << 2);
    const a = byteGroups(v128.load(at), rotate), b = byteGroups(v128.load(at, 16), rotate);
    const c = byteGroups(v128.load(at, 32), rotate), d = byteGroups(v128.load(at, 48), rotate);
    const ab = v128.shuffle<u32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<u32>(c, d, 0, 4, 1, 5);
    const AB = v128.shuffle<u32>(a, b, 2, 6, 3, 7), CD = v128.shuffle<u32>(c, d, 2, 6, 3, 7);
    const first = v128.shuffle<u64>(ab, cd, 0, 2), second = v128.shuffle<u64>(ab, cd, 1, 3);
    const third = v128.shuffle<u64>(AB, CD, 0, 2), fourth = v128.shuffle<u64>(AB, CD, 1, 3);
    const some = v128.or(v128.or(first, second), v128.or(third, fourth));
    const kept = <u32> i8x16.bitmask(i8x16.ne(some, zero));
    store<u16>(mask + (i >> 3), kept);
    if (kept == 0xffff) {
      v128.store(to, first);
      v128.store(to + stride, second);
      v128.store(to + 2 * stride, third);
      v128.store(to + 3 * stride, fourth);
      to += 16;
    } else if (kept != 0) {
      const low = v128.load((kept & 255) << 4, SHUFFLES);
      const high = i8x16.add(v128.load((kept >> 8) << 4, SHUFFLES), eight);
      const behind = to + popcnt(kept & 255);
      storeKept(to, behind, first, low, high);
      storeKept(to + stride, behind + stride, second, low, high);
      storeKept(to + 2 * stride, behind + 2 * stride, third, low, high);
      storeKept(to + 3 * stride, behind + 3 * stride, fourth, low, high);
      to += popcnt(kept);
    }
  }
  for (let i = wide, bits: u32 = 0; i < count; i++) {
    const word = load<u32>(raw + (i << 2));
    const turned = rotate ? rotl(word, 1) : word;
    for (let plane: usize = 0; plane < 4; plane++) {
      store<u8>(to + plane * stride, turned >> (<u32> plane << 3));
    }
    const isKept = <u32> (word != 0);
    to += isKept;
    bits = (i & 7) == 0 ? isKept : bits | (isKept << <u32> (i & 7));
    store<u8>(mask + (i >> 3), bits);
  }
  return to - planes;
}

function storeKept(to: usize, behind: usize, bytes: v128, low: v128, high: v128): void {
  v128.store(to, v128.swizzle(bytes, low));
  v128.store(behind, v128.swizzle(bytes, high));
}

/** Four words as their four lowest bytes, their four next ones, and so on. */
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

function storeWords(to: usize, words: v128, rotate: bool): void {
  v128.store(to, rotate ? v128.or(i32x4.shr_u(words, 1), i32x4.shl(words, 31)) : words);
}

function interleaveLow(a: v128, b: v128): v128 {
  return v128.shuffle<u8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

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
  const wide = count & ~15;
  for (let i: usize = 0; i < wide; i += 16) {
    const at = raw + (i << 3);
    const a = loadDoubles(at, rotate), b = loadDoubles(at + 16, rotate);
    const c = loadDoubles(at + 32, rotate), d = loadDoubles(at + 48, rotate);
    const e = loadDoubles(at + 64, rotate), f = loadDoubles(at + 80, rotate);
    const g = loadDoubles(at + 96, rotate), h = loadDoubles(at + 112, rotate);
    const to = planes + i;
    storeFourPlanes(to, stride, lowGroups(a, b), lowGroups(c, d), lowGroups(e, f), lowGroups(g, h));
    const next = to + 4 * stride;
    storeFourPlanes(next, stride, highGroups(a, b), highGroups(c, d), highGroups(e, f), highGroups(g, h));
  }
  for (let i = wide; i < count; i++) {
    let element = load<u64>(raw + (i << 3));
    if (rotate) element = rotl(element, 1);
    for (let plane: usize = 0; plane < 8; plane++, element >>= 8) {
      store<u8>(planes + plane * stride + i, element);
    }
  }
}

function loadDoubles(at: usize, rotate: bool): v128 {
  const two = v128.load(at);
  return rotate ? v128.or(i64x2.shl(two, 1), i64x2.shr_u(two, 63)) : two;
}

/** The lowest bytes of four elements, two in each vector, then their second, third and fourth bytes. */
function lowGroups(a: v128, b: v128): v128 {
  return v128.shuffle<u8>(a, b, 0, 8, 16, 24, 1, 9, 17, 25, 2, 10, 18, 26, 3, 11, 19, 27);
}

/** Their other four bytes in the same way. */
function highGroups(a: v128, b: v128): v128 {
  return v128.shuffle<u8>(a, b, 4, 12, 20, 28, 5, 13, 21, 29, 6, 14, 22, 30, 7, 15, 23, 31);
}

/** Stores the words of four vectors that are first in them to one plane, those that are second to the next, and so on. */
function storeFourPlanes(to: usize, stride: usize, a: v128, b: v128, c: v128, d: v128): void {
  const ab = v128.shuffle<u32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<u32>(c, d, 0, 4, 1, 5);
  const ef = v128.shuffle<u32>(a, b, 2, 6, 3, 7), gh = v128.shuffle<u32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<u64>(ab, cd, 0, 2));
  v128.store(to + stride, v128.shuffle<u64>(ab, cd, 1, 3));
  v128.store(to + 2 * stride, v128.shuffle<u64>(ef, gh, 0, 2));
  v128.store(to + 3 * stride, v128.shuffle<u64>(ef, gh, 1, 3));
}

function mergeDoubles(planes: usize, stride: usize, count: usize, rotate: bool, raw: usize): void {
  const wide = count & ~15;
  for (let i: usize = 0; i < wide; i += 16) {
    const from = planes + i, to = raw + (i << 3);
    const a = v128.load(from), b = v128.load(from + stride);
    const c = v128.load(from + 2 * stride), d = v128.load(from + 3 * stride);
    const e = v128.load(from + 4 * stride), f = v128.load(from + 5 * stride);
    const g = v128.load(from + 6 * stride), h = v128.load(from + 7 * stride);
    // Of each element two bytes, then four, then all.
    storeEight(
      to,
      interleaveLow(a, b),
      interleaveLow(c, d),
      interleaveLow(e, f),
      interleaveLow(g, h),
      rotate,
    );
    const next = to + 64;
    storeEight(
      next,
      interleaveHigh(a, b),
      interleaveHigh(c, d),
      interleaveHigh(e, f),
      interleaveHigh(g, h),
      rotate,
    );
  }
  for (let i = wide; i < count; i++) {
    let element: u64 = 0;
    for (let plane: usize = 0; plane < 8; plane++) {
      element |= <u64> load<u8>(planes + plane * stride + i) << (<u64> plane << 3);
    }
    store<u64>(raw + (i << 3), rotate ? rotr(element, 1) : element);
  }
}

/** Stores eight elements, of which the vectors have the first two bytes, the next two, and so on. */
function storeEight(to: usize, ab: v128, cd: v128, ef: v128, gh: v128, rotate: bool): void {
  const lowFour = v128.shuffle<u16>(ab, cd, 0, 8, 1, 9, 2, 10, 3, 11);
  const highFour = v128.shuffle<u16>(ab, cd, 4, 12, 5, 13, 6, 14, 7, 15);
  const lowRest = v128.shuffle<u16>(ef, gh, 0, 8, 1, 9, 2, 10, 3, 11);
  const highRest = v128.shuffle<u16>(ef, gh, 4, 12, 5, 13, 6, 14, 7, 15);
  storeDoubles(to, v128.shuffle<u32>(lowFour, lowRest, 0, 4, 1, 5), rotate);
  storeDoubles(to + 16, v128.shuffle<u32>(lowFour, lowRest, 2, 6, 3, 7), rotate);
  storeDoubles(to + 32, v128.shuffle<u32>(highFour, highRest, 0, 4, 1, 5), rotate);
  storeDoubles(to + 48, v128.shuffle<u32>(highFour, highRest, 2, 6, 3, 7), rotate);
}

function storeDoubles(to: usize, two: v128, rotate: bool): void {
  v128.store(to, rotate ? v128.or(i64x2.shr_u(two, 1), i64x2.shl(two, 63)) : two);
}
