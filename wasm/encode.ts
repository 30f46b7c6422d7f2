/** Writing codes. */

import { CODES, COUNTS, PAIRS } from "./heap";

/**
 * Fills PAIRS from CODES, for bytes from `first` to `last`: at index low byte + 256 * high byte a u32, how
 * long both codes are together, and from bit 8 both codes. Uses the room of COUNTS.
 */
export function pair(first: usize, last: usize): void {
  // What moves a code behind that of the low byte, as a factor: lanes cannot be shifted by different amounts.
  for (let low = first; low <= last; low++) {
    store<u32>(low << 2, (<u32> 1) << (load<u32>(low << 2, CODES) & 255), COUNTS);
  }
  for (let high = first; high <= last; high++) {
    const highCode = load<u32>(high << 2, CODES);
    if (highCode == 0) continue;
    const code = i32x4.splat(highCode & ~255), bits = i32x4.splat(highCode & 255);
    for (let low = first; low <= last; low += 4) {
      const behind = i32x4.add(i32x4.mul(code, v128.load(low << 2, COUNTS)), bits);
      v128.store((low | (high << 8)) << 2, i32x4.add(behind, v128.load(low << 2, CODES)), PAIRS);
    }
  }
}

/**
 * Writes the codes of the bytes from `from` to `end` to `to`, lowest bit first, and gives the address behind
 * them. CODES has for each byte a u32: the length of its code (12 bits at most), and the code from bit 8.
 * With `isPaired` two at a time are taken from PAIRS.
 */
export function encode(from: usize, end: usize, isPaired: bool, to: usize): usize {
  // A shift looks at the lowest six bits of its distance only. So a whole entry may be added to `bits`.
  let held: u64 = 0;
  let bits: u64 = 0;
  if (isPaired) {
    for (; from + 8 <= end; from += 8) {
      const one = pairOf(load<u16>(from)), two = pairOf(load<u16>(from, 2));
      const three = pairOf(load<u16>(from, 4)), four = pairOf(load<u16>(from, 6));
      // Two pairs are 48 bits at most; with the seven that may be left over they fit.
      held |= (<u64> (one >> 8) | (<u64> (two >> 8) << one)) << bits;
      bits += one + two;
      store<u64>(to, held);
      let whole = bits & 56;
      to += <usize> whole >> 3;
      held >>= whole;
      bits &= 7;
      held |= (<u64> (three >> 8) | (<u64> (four >> 8) << three)) << bits;
      bits += three + four;
      store<u64>(to, held);
      whole = bits & 56;
      to += <usize> whole >> 3;
      held >>= whole;
      bits &= 7;
    }
  }
  for (; from + 4 <= end; from += 4) {
    const one = codeOf(load<u8>(from)), two = codeOf(load<u8>(from, 1));
    const three = codeOf(load<u8>(from, 2)), four = codeOf(load<u8>(from, 3));
    held |= <u64> (one >> 8) << bits;
    bits += one;
    held |= <u64> (two >> 8) << bits;
    bits += two;
    held |= <u64> (three >> 8) << bits;
    bits += three;
    held |= <u64> (four >> 8) << bits;
    bits += four;
    store<u64>(to, held);
    to += <usize> (bits >> 3) & 7;
    held >>= bits & 56;
    bits &= 7;
  }
  for (; from < end; from++) {
    const one = codeOf(load<u8>(from));
    held |= <u64> (one >> 8) << bits;
    bits += one & 255;
  }
  store<u64>(to, held);
  return to + <usize> ((bits + 7) >> 3);
}

/**
 * Writes the even bytes from `from` to `end` by the code that has 7 bits for each even byte, and gives the address
 * behind them. Such a code is the byte itself, its highest bit first.
 */
export function packEven(from: usize, end: usize, to: usize): usize {
  const nibble = i8x16.splat(15);
  const reversed = i8x16(0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15);
  for (; from + 16 <= end; from += 16, to += 14) {
    const bytes = v128.load(from);
    const turned = v128.or(
      i16x8.shl(v128.swizzle(reversed, v128.and(bytes, nibble)), 4),
      v128.swizzle(reversed, v128.and(i16x8.shr_u(bytes, 4), nibble)),
    );
    // Two codes of 7 bits together, then two of 14, then two of 28.
    const two = v128.or(
      v128.and(turned, i16x8.splat(0x7f)),
      v128.and(i16x8.shr_u(turned, 1), i16x8.splat(0x3f80)),
    );
    const four = v128.or(
      v128.and(two, i32x4.splat(0x3fff)),
      v128.and(i32x4.shr_u(two, 2), i32x4.splat(0xfffc000)),
    );
    const eight = v128.or(
      v128.and(four, i64x2.splat(0xfffffff)),
      v128.and(i64x2.shr_u(four, 4), i64x2.splat(0xfffffff0000000)),
    );
    v128.store_lane<u64>(to, eight, 0);
    v128.store_lane<u64>(to, eight, 1, 7);
  }
  while (from < end) {
    let held: u64 = 0;
    let bits: u64 = 0;
    for (; bits < 56 && from < end; from++, bits += 7) {
      let turned: u64 = 0;
      for (let byte = <u64> load<u8>(from), bit = 0; bit < 8; bit++, byte >>= 1) {
        turned = (turned << 1) | (byte & 1);
      }
      held |= turned << bits;
    }
    store<u64>(to, held);
    to += <usize> ((bits + 7) >> 3);
  }
  return to;
}

function pairOf(bytes: usize): u32 {
  return load<u32>(bytes << 2, PAIRS);
}

function codeOf(byte: usize): u32 {
  return load<u32>(byte << 2, CODES);
}
