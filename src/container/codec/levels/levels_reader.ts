import { CairnError } from "../../../base/errors.ts";
import type { ItemBits } from "../../../base/item_bits.ts";
import {
  type Group,
  GROUP_ITEMS,
  GROUP_KIND,
  groupCount,
  type GroupLayout,
  type LevelWindow,
  levelWindows,
  unpackGroup,
  wordsFor,
} from "./levels_format.ts";

/** All items of a chunk, each as wide as it is. */
export type Items = Uint16Array | Uint32Array;

/** Reads the groups of a chunk, one after the other. Refuses what is not exactly as a writer may make it. */
export class LevelsReader {
  readonly #items: ItemBits;
  readonly #words: Uint32Array;
  readonly #lastHead: number;
  readonly #exponents: Uint32Array = new Uint32Array(GROUP_ITEMS);
  // Which items are left for the next level.
  readonly #left: Uint16Array = new Uint16Array(GROUP_ITEMS + 1);
  readonly #mask: Uint32Array = new Uint32Array(GROUP_ITEMS);
  readonly #fields: Uint32Array = new Uint32Array(GROUP_ITEMS);
  // The items of a group of which some are left out.
  readonly #kept: Uint32Array = new Uint32Array(GROUP_ITEMS + 1);
  readonly #ofCode: Uint16Array = new Uint16Array(1 << GROUP_KIND.mostLevelBits);
  #groups = 0;
  #at: number;
  #end: number;

  /** For the stored words of a chunk of `rawLength` bytes. */
  constructor(items: ItemBits, rawLength: number, words: Uint32Array) {
    const groups = groupCount(rawLength, items);
    if (words.length < 1 + groups) throw invalid(`it has ${words.length} words, for ${groups} groups`);
    if (words[0] !== rawLength) throw invalid(`it says it has ${words[0]} raw bytes, not ${rawLength}`);
    this.#items = items;
    this.#words = words;
    this.#lastHead = groups;
    this.#at = 1 + groups;
    this.#end = this.#at;
  }

  /** Writes the items of the next group to where they belong in `target`. Throws `CairnError("invalid_container")`. */
  readGroup(target: Items, layout: GroupLayout): void {
    const { count } = layout;
    const head = unpackGroup(this.#words[++this.#groups] as number);
    this.#check(head, count);
    this.#end = this.#at + head.words;
    if (this.#end > this.#words.length) {
      throw invalid(`a group of ${head.words} words has ${this.#words.length - this.#at} left`);
    }
    if (head.kind === GROUP_KIND.zeros) scatter(this.#kept.fill(0), target, layout);
    else if (head.kind === GROUP_KIND.raw) this.#readRaw(target, layout);
    else if (head.hasMask) this.#readMasked(target, layout, head);
    else this.#readCoded(target, layout, head);
    if (this.#at !== this.#end) throw invalid(`a group has ${this.#end - this.#at} words too many`);
  }

  /** Makes sure that nothing follows the last group. */
  finish(): void {
    if (this.#groups === this.#lastHead && this.#at === this.#words.length) return;
    throw invalid(`${this.#words.length - this.#at} words follow its last group`);
  }

  #check({ words, base, kind, hasMask, zeroBytes, restBits }: Group, count: number): void {
    const { shift, exponentBits } = this.#items;
    if (kind === GROUP_KIND.zeros || kind === GROUP_KIND.raw) {
      const expected = kind === GROUP_KIND.raw ? wordsFor(count, this.#items.bits) : 0;
      if (words === expected && base === 0 && !hasMask && zeroBytes === 0 && restBits === 0) return;
      throw invalid(`a group that is not coded has ${words} words, of ${expected}, or says more than that`);
    }
    if (base >> exponentBits !== 0 || (kind === GROUP_KIND.whole && base !== 0)) {
      throw invalid(`a group has the base ${base}`);
    }
    if (restBits + 8 * zeroBytes > shift + 1) {
      throw invalid(`a group has ${restBits} bits above ${8 * zeroBytes}, of ${shift + 1}`);
    }
  }

  #readRaw(target: Items, layout: GroupLayout): void {
    this.#readRow(this.#fields, layout.count, this.#items.bits);
    scatter(this.#fields, target, layout);
  }

  #readMasked(target: Items, layout: GroupLayout, head: Group): void {
    const count = this.#readMask(layout.count);
    this.#readCoded(this.#kept, { first: 0, step: 1, count }, head);
    this.#spread(target, layout, count);
  }

  #readCoded(target: Items, { first, step, count }: GroupLayout, head: Group): void {
    this.#readExponents(count, head);
    const [rests, exponents] = [this.#fields, this.#exponents];
    this.#readRow(rests, count, head.restBits);
    const { bits, shift } = this.#items;
    const mantissa = (1 << shift) - 1;
    const zeroBits = 8 * head.zeroBytes;
    for (let i = 0, at = first; i < count; i++, at += step) {
      const rest = (rests[i] as number) << zeroBits;
      target[at] = ((rest >>> shift) << (bits - 1)) | ((exponents[i] as number) << shift) | (rest & mantissa);
    }
  }

  #readMask(count: number): number {
    this.#readRow(this.#mask, count, 1);
    let kept = 0;
    for (let i = 0; i < count; i++) kept += this.#mask[i] as number;
    return kept;
  }

  /** Puts items that lie together where the mask says. */
  #spread(target: Items, { first, step, count }: GroupLayout, kept: number): void {
    const [mask, items] = [this.#mask, this.#kept];
    items[kept] = 0;
    for (let i = 0, at = first, next = 0; i < count; i++, at += step) {
      const isKept = mask[i] as number;
      target[at] = (items[next] as number) & -isKept;
      next += isKept;
    }
  }

  #readExponents(kept: number, { kind, base }: Group): void {
    const exponents = this.#exponents;
    if (kind === GROUP_KIND.equal) {
      exponents.fill(base, 0, kept);
      return;
    }
    if (kind === GROUP_KIND.whole) {
      this.#readRow(exponents, kept, this.#items.exponentBits);
      return;
    }
    const [left, fields] = [this.#left, this.#fields];
    let isFirst = true;
    for (const window of levelWindows(kind)) {
      kept = this.#readLevel(kept, base, window, kind, isFirst);
      isFirst = false;
    }
    this.#readRow(fields, kept, this.#items.exponentBits);
    for (let i = 0; i < kept; i++) exponents[left[i] as number] = fields[i] as number;
  }

  /**
   * The exponents of a level, which has a code for each item that is left: for every one in the first. Gives how many
   * are left for the next.
   */
  #readLevel(
    count: number,
    base: number,
    { differences }: LevelWindow,
    bits: number,
    isFirst: boolean,
  ): number {
    const [left, exponents, codes] = [this.#left, this.#exponents, this.#fields];
    const ofCode = this.#exponentsOf(base, differences);
    this.#readRow(codes, count, bits);
    let next = 0;
    let all = 0;
    // Without a branch on what is left, which is as good as random. The one on the level is always the same, and
    // costs less than a list of all items.
    for (let i = 0; i < count; i++) {
      const item = isFirst ? i : left[i] as number;
      const code = codes[i] as number;
      const exponent = ofCode[code] as number;
      exponents[item] = exponent;
      all |= exponent;
      left[next] = item;
      next += (code + 1) >>> bits;
    }
    if (all >>> this.#items.exponentBits !== 0) throw invalid("a code is for an unknown exponent");
    return next;
  }

  /** The exponent of each code: 0 for one that is for none, and too large a number for one that cannot be. */
  #exponentsOf(base: number, differences: readonly number[]): Uint16Array {
    const ofCode = this.#ofCode;
    for (const [code, difference] of differences.entries()) ofCode[code] = base + difference;
    ofCode[differences.length] = 0;
    return ofCode;
  }

  /** The next `count` fields of `bits` bits. */
  #readRow(fields: Uint32Array, count: number, bits: number): void {
    const at = this.#at;
    const words = this.#words;
    this.#at += wordsFor(count, bits);
    if (this.#at > this.#end) throw invalid("a group ends early");
    const lastBits = (count * bits) & 31;
    if (lastBits !== 0 && (words[this.#at - 1] as number) >>> lastBits !== 0) {
      throw invalid("bits behind a row of a group are not zero");
    }
    if (bits === 24) unpackTriples(words, at, fields, count);
    else if (32 % bits === 0) unpackWords(words, at, fields, { count, bits });
    else unpackFields(words, at, fields, { count, bits });
  }
}

function scatter(items: Uint32Array, target: Items, { first, step, count }: GroupLayout): void {
  for (let i = 0, at = first; i < count; i++, at += step) target[at] = items[i] as number;
}

/** Fields that never lie across two words. May write up to the end of the last word's. */
function unpackWords(
  words: Uint32Array,
  at: number,
  fields: Uint32Array,
  { count, bits }: { count: number; bits: number },
): void {
  const mask = bits === 32 ? -1 : (1 << bits) - 1;
  const inWord = 32 / bits;
  for (let first = 0; first < count; first += inWord) {
    const word = words[at++] as number;
    for (let i = 0, offset = 0; i < inWord; i++, offset += bits) fields[first + i] = (word >>> offset) & mask;
  }
}

/** Fields of 24 bits, four in three words. May write up to three more. */
function unpackTriples(words: Uint32Array, at: number, fields: Uint32Array, count: number): void {
  for (let i = 0; i < count; i += 4, at += 3) {
    const [a, b, c] = [words[at] as number, words[at + 1] as number, words[at + 2] as number];
    fields[i] = a & 0xffffff;
    fields[i + 1] = (a >>> 24) | ((b & 0xffff) << 8);
    fields[i + 2] = (b >>> 16) | ((c & 0xff) << 16);
    fields[i + 3] = c >>> 8;
  }
}

function unpackFields(
  words: Uint32Array,
  at: number,
  fields: Uint32Array,
  { count, bits }: { count: number; bits: number },
): void {
  const mask = (1 << bits) - 1;
  for (let i = 0, bit = 32 * at; i < count; i++, bit += bits) {
    const offset = bit & 31;
    let field = (words[bit >>> 5] as number) >>> offset;
    if (offset + bits > 32) field |= (words[(bit >>> 5) + 1] as number) << (32 - offset);
    fields[i] = field & mask;
  }
}

/** For a chunk that no writer of `levels` wrote. */
export function invalid(problem: string): CairnError {
  return new CairnError("invalid_container", `A levels chunk is damaged: ${problem}`);
}
