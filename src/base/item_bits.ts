import type { DType } from "./dtype.ts";

/**
 * How the bytes of a dtype are seen by what separates exponents from the rest: as items of 16 or 32 bits, each with a
 * sign at the top, an exponent, and a mantissa. Dtypes of 8 bytes are pairs of items, dtypes of one byte four to an
 * item. For dtypes that are not of floating point these are only names for ranges of bits.
 */
export interface ItemBits {
  /** Bits of an item: 16 or 32. */
  readonly bits: number;
  /** Items of an element: 2 for dtypes of 8 bytes, of which the first is the low one. */
  readonly columns: number;
  /** Where the exponent begins, which is also the number of bits of the mantissa. */
  readonly shift: number;
  readonly exponentBits: number;
}

const WORD: ItemBits = { bits: 32, columns: 1, shift: 23, exponentBits: 8 };
const PAIR: ItemBits = { ...WORD, columns: 2 };
const HALF: ItemBits = { bits: 16, columns: 1, shift: 7, exponentBits: 8 };

const ITEMS: Readonly<Record<DType, ItemBits>> = {
  bool: WORD,
  u8: WORD,
  i8: WORD,
  u16: HALF,
  i16: HALF,
  u32: WORD,
  i32: WORD,
  u64: PAIR,
  i64: PAIR,
  f16: { bits: 16, columns: 1, shift: 10, exponentBits: 5 },
  bf16: HALF,
  f32: WORD,
  f64: PAIR,
};

/** The items of `dtype`. */
export function itemBitsOf(dtype: DType): ItemBits {
  return ITEMS[dtype];
}
