import type { ItemBits } from "../../../base/item_bits.ts";

/** Items of a group, except the last one of a chunk. */
export const GROUP_ITEMS = 1024;
/** How often an exponent is tried to be written in a few bits before it is written whole. */
export const LEVELS = 3;
/** Kinds of groups by how the exponents are stored; 1 to 4 are the bits of a code in each level. */
export const GROUP_KIND = { equal: 0, mostLevelBits: 4, whole: 5, zeros: 6, raw: 7 } as const;

/** What a group's word says. All but `words` and `kind` are 0 in groups of zeros and raw ones. */
export interface Group {
  /** Words of the group's body. */
  readonly words: number;
  /** The highest exponent of the first level; the only one of kind `equal`; 0 for `whole`. */
  readonly base: number;
  readonly kind: number;
  /** Whether items that are zero are left out, and a mask says which. */
  readonly hasMask: boolean;
  /** Lowest bytes that are zero in the rest of every item, and left out. */
  readonly zeroBytes: number;
  /** Bits that are stored of the rest of an item: of sign and mantissa. */
  readonly restBits: number;
}

/** The word that stands for a group at the head of its chunk. */
export function packGroup({ words, base, kind, hasMask, zeroBytes, restBits }: Group): number {
  return (words | (base << 11) | (kind << 19) | (Number(hasMask) << 22) | (zeroBytes << 23) |
    (restBits << 25)) >>> 0;
}

/** The inverse of {@link packGroup}. */
export function unpackGroup(word: number): Group {
  return {
    words: word & 2047,
    base: (word >>> 11) & 255,
    kind: (word >>> 19) & 7,
    hasMask: ((word >>> 22) & 1) === 1,
    zeroBytes: (word >>> 23) & 3,
    restBits: word >>> 25,
  };
}

/** Words of `count` fields of `bits` bits. */
export function wordsFor(count: number, bits: number): number {
  return Math.ceil((count * bits) / 32);
}

/** How many groups a chunk has. */
export function groupCount(rawLength: number, { bits, columns }: ItemBits): number {
  return columns * Math.ceil(Math.ceil(rawLength / (bits / 8)) / columns / GROUP_ITEMS);
}

/** Where a group's items are among all items of a chunk: every `step`th from `first` on. */
export interface GroupLayout {
  readonly first: number;
  readonly step: number;
  readonly count: number;
}

/** The items of group `index`: of each 1024 elements there is a group for each column. */
export function groupLayout(index: number, rawLength: number, { bits, columns }: ItemBits): GroupLayout {
  const elements = Math.ceil(rawLength / (bits / 8)) / columns;
  const start = Math.floor(index / columns) * GROUP_ITEMS;
  return {
    first: start * columns + (index % columns),
    step: columns,
    count: Math.min(GROUP_ITEMS, elements - start),
  };
}

/** The exponents that one level adds to those of the levels before it. */
export interface LevelWindow {
  /** How far above the base the highest one is; in the first level the base itself is. */
  readonly top: number;
  /** How far below the base the lowest one is. */
  readonly bottom: number;
  /** For each code the exponent that it is for, as a difference to the base. The code with all bits set is for none. */
  readonly differences: readonly number[];
}

/** The windows of the levels of `bits` bits, from the first one on. */
export function levelWindows(bits: number): readonly LevelWindow[] {
  return WINDOWS[bits] as readonly LevelWindow[];
}

const WINDOWS: readonly (readonly LevelWindow[])[] = Array.from(
  { length: GROUP_KIND.mostLevelBits + 1 },
  (_, bits) => windowsOf(bits),
);

function windowsOf(bits: number): LevelWindow[] {
  const codes = (1 << bits) - 1;
  const windows: LevelWindow[] = [];
  let [top, bottom] = [0, -1];
  for (let level = 0; level < LEVELS; level++) {
    const above = level === 0 ? 0 : (1 << bits) >>> 2;
    const differences = Array.from(
      { length: codes },
      (_, code) => code < above ? top + 1 + code : above - bottom - 1 - code,
    );
    top += above;
    bottom += codes - above;
    windows.push({ top, bottom, differences });
  }
  return windows;
}
