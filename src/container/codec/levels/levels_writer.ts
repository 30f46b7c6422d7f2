import type { ItemBits } from "../../../base/item_bits.ts";
import {
  type Group,
  GROUP_ITEMS,
  GROUP_KIND,
  groupCount,
  type LevelWindow,
  levelWindows,
  packGroup,
  wordsFor,
} from "./levels_format.ts";

/** How often each exponent occurs in a group, and what its items are apart from that. */
interface GroupStatistics {
  readonly counts: Uint32Array;
  readonly zeros: number;
  /** All rests, or-ed. */
  readonly rests: number;
}

/** Puts groups of items in their stored form, one after the other. */
export class LevelsWriter {
  readonly #items: ItemBits;
  readonly #words: Uint32Array;
  readonly #lastHead: number;
  readonly #fields: Uint32Array = new Uint32Array(GROUP_ITEMS);
  readonly #exponents: Uint32Array = new Uint32Array(GROUP_ITEMS);
  readonly #codeOf: Uint8Array = new Uint8Array(256);
  #groups = 0;
  #end: number;

  /** For a chunk of `rawLength` bytes. */
  constructor(items: ItemBits, rawLength: number) {
    const groups = groupCount(rawLength, items);
    this.#items = items;
    // No group is longer than its items are.
    this.#words = new Uint32Array(1 + 2 * groups + Math.ceil(rawLength / 4));
    this.#words[0] = rawLength;
    this.#lastHead = groups;
    this.#end = 1 + groups;
  }

  /** Adds the next group: the first `count` of `group`. Changes `group`. */
  addGroup(group: Uint32Array, count: number): void {
    const statistics = statisticsOf(group, count, this.#items);
    const head = planGroup(statistics, count, this.#items);
    this.#words[++this.#groups] = packGroup(head);
    if (head.kind === GROUP_KIND.zeros) return;
    if (head.kind === GROUP_KIND.raw) {
      this.#putRow(group, count, this.#items.bits);
      return;
    }
    const kept = head.hasMask ? this.#putMask(group, count) : count;
    this.#putExponents(group, kept, head);
    this.#putRests(group, kept, head);
  }

  /** All groups, after the last one was added. */
  toBytes(): Uint8Array {
    if (this.#groups !== this.#lastHead) {
      throw new RangeError(`${this.#groups} of ${this.#lastHead} groups came`);
    }
    return new Uint8Array(this.#words.buffer, 0, 4 * this.#end);
  }

  /** One bit for each item: whether it is not zero. Moves those together, and gives their number. */
  #putMask(group: Uint32Array, count: number): number {
    const fields = this.#fields;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const item = group[i] as number;
      fields[i] = item === 0 ? 0 : 1;
      if (item !== 0) group[kept++] = item;
    }
    this.#putRow(fields, count, 1);
    return kept;
  }

  #putExponents(group: Uint32Array, kept: number, { kind, base }: Group): void {
    if (kind === GROUP_KIND.equal) return;
    const { shift, exponentBits } = this.#items;
    const mask = (1 << exponentBits) - 1;
    const exponents = this.#exponents;
    for (let i = 0; i < kept; i++) exponents[i] = ((group[i] as number) >>> shift) & mask;
    if (kind !== GROUP_KIND.whole) {
      for (const window of levelWindows(kind)) kept = this.#putLevel(kept, base, window, kind);
    }
    this.#putRow(exponents, kept, exponentBits);
  }

  /** One code for each exponent. Moves those that are left for the next level together, and gives their number. */
  #putLevel(count: number, base: number, { differences }: LevelWindow, bits: number): number {
    const [exponents, codes] = [this.#exponents, this.#fields];
    const escape = differences.length;
    const codeOf = this.#codeOf.fill(escape);
    for (const [code, difference] of differences.entries()) {
      const exponent = base + difference;
      if (exponent >= 0 && exponent < 256) codeOf[exponent] = code;
    }
    let left = 0;
    // Without a branch for each item: which of them are left is as good as random.
    for (let i = 0; i < count; i++) {
      const exponent = exponents[i] as number;
      const code = codeOf[exponent] as number;
      codes[i] = code;
      exponents[left] = exponent;
      left += (code + 1) >>> bits;
    }
    this.#putRow(codes, count, bits);
    return left;
  }

  #putRests(group: Uint32Array, kept: number, { zeroBytes, restBits }: Group): void {
    const rests = this.#fields;
    for (let i = 0; i < kept; i++) rests[i] = restOf(group[i] as number, this.#items) >>> (8 * zeroBytes);
    this.#putRow(rests, kept, restBits);
  }

  /** Fields of `bits` bits, from the lowest bit of the next word up. */
  #putRow(fields: Uint32Array, count: number, bits: number): void {
    const words = this.#words;
    let word = 0;
    let offset = 0;
    for (let i = 0; i < count; i++) {
      const field = fields[i] as number;
      word |= field << offset;
      offset += bits;
      if (offset < 32) continue;
      words[this.#end++] = word;
      offset -= 32;
      word = offset === 0 ? 0 : field >>> (bits - offset);
    }
    if (offset > 0) words[this.#end++] = word;
  }
}

/** Sign and mantissa of an item, the sign in front. */
function restOf(item: number, { bits, shift }: ItemBits): number {
  return ((item >>> (bits - 1)) << shift) | (item & ((1 << shift) - 1));
}

function statisticsOf(group: Uint32Array, count: number, items: ItemBits): GroupStatistics {
  const counts = new Uint32Array(256);
  const mask = (1 << items.exponentBits) - 1;
  let zeros = 0;
  let rests = 0;
  for (let i = 0; i < count; i++) {
    const item = group[i] as number;
    const exponent = (item >>> items.shift) & mask;
    counts[exponent] = (counts[exponent] as number) + 1;
    rests |= restOf(item, items);
    if (item === 0) zeros++;
  }
  return { counts, zeros, rests };
}

/** The smallest form of a group, and of equals the one with the lowest kind, and then the lowest base. */
function planGroup({ counts, zeros, rests }: GroupStatistics, count: number, items: ItemBits): Group {
  const none = { words: 0, base: 0, hasMask: false, zeroBytes: 0, restBits: 0 };
  if (zeros === count) return { ...none, kind: GROUP_KIND.zeros };
  const zeroBytes = rests === 0 ? 0 : (31 - Math.clz32(rests & -rests)) >>> 3;
  const restBits = 32 - Math.clz32(rests >>> (8 * zeroBytes));
  // With a mask an item that is zero saves its rest and a short code, and each item costs a bit.
  const hasMask = zeros * (restBits + 2) > count;
  const kept = hasMask ? count - zeros : count;
  if (hasMask) counts[0] = (counts[0] as number) - zeros;
  const { kind, base, words } = planExponents(counts, kept, items.exponentBits);
  const all = words + wordsFor(hasMask ? count : 0, 1) + wordsFor(kept, restBits);
  const rawWords = wordsFor(count, items.bits);
  if (all >= rawWords) return { ...none, kind: GROUP_KIND.raw, words: rawWords };
  return { words: all, base, kind, hasMask, zeroBytes, restBits };
}

function planExponents(
  counts: Uint32Array,
  kept: number,
  exponentBits: number,
): { kind: number; base: number; words: number } {
  // How many exponents there are below each one.
  const below = new Uint32Array(257);
  for (let exponent = 0; exponent < 256; exponent++) {
    below[exponent + 1] = (below[exponent] as number) + (counts[exponent] as number);
  }
  let best = { kind: GROUP_KIND.whole as number, base: 0, words: wordsFor(kept, exponentBits) };
  for (let base = 0; base < 256; base++) {
    if (counts[base] === 0) continue;
    if (counts[base] === kept) return { kind: GROUP_KIND.equal, base, words: 0 };
    for (let bits = 1; bits <= GROUP_KIND.mostLevelBits; bits++) {
      const words = levelWords(below, kept, { base, bits, exponentBits });
      const isLess = words < best.words || (words === best.words && bits < best.kind);
      if (isLess) best = { kind: bits, base, words };
    }
  }
  return best;
}

function levelWords(
  below: Uint32Array,
  kept: number,
  { base, bits, exponentBits }: { base: number; bits: number; exponentBits: number },
): number {
  let left = kept;
  let words = 0;
  for (const { top, bottom } of levelWindows(bits)) {
    words += wordsFor(left, bits);
    const end = Math.min(256, base + top + 1);
    const from = Math.max(0, base - bottom);
    left = kept - (below[end] as number) + (below[from] as number);
  }
  return words + wordsFor(left, exponentBits);
}
