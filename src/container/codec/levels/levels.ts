import { byteSizeOf, type DType } from "../../../base/dtype.ts";
import { type ItemBits, itemBitsOf } from "../../../base/item_bits.ts";
import type { Codec, Decoder } from "../codec.ts";
import { GROUP_ITEMS, groupCount, type GroupLayout, groupLayout } from "./levels_format.ts";
import { invalid, LevelsReader } from "./levels_reader.ts";
import { LevelsWriter } from "./levels_writer.ts";

// Below this saving a chunk is not worth the time it takes to decode.
const WORTHWHILE = 31 / 32;

/**
 * What a GPU can make and read without waiting for anything serial: groups of 1024 items, each by itself, whose
 * exponents are stored in levels of one to four bits around the group's most usual ones, and whose signs and
 * mantissas are stored in as few bits as the largest one takes. Zeros are left out where a mask of them is shorter.
 * There are no code tables. For weights it is within about one per cent of the codec `planes`. Every machine makes
 * the same bytes of the same chunk. FORMAT.md has the stored form, and `src/kernels/levels_*.ts` the same in WGSL.
 *
 * Fixed lengths with exceptions are those of M. Zukowski et al., "Super-Scalar RAM-CPU Cache Compression" (2006).
 */
export const levelsCodec: Codec = {
  id: 4,
  name: "levels",
  encode(raw, dtype) {
    const stored = levelsBytes(raw, dtype);
    return stored.byteLength > raw.byteLength * WORTHWHILE ? undefined : stored;
  },
  decode: decodeLevels,
};

/** The half of {@link levelsCodec} that reads. */
export const levelsDecoder: Decoder = { id: 4, name: "levels", decode: decodeLevels };

function decodeLevels(stored: Uint8Array, rawLength: number, dtype: DType, into?: Uint8Array): Uint8Array {
  const items = itemBitsOf(dtype);
  if (rawLength % byteSizeOf(dtype) !== 0) {
    throw invalid(`${rawLength} raw bytes are no whole number of ${dtype}`);
  }
  if (stored.byteLength % 4 !== 0) throw invalid(`it has ${stored.byteLength} bytes`);
  const groups = groupCount(rawLength, items);
  const reader = new LevelsReader(items, rawLength, wordsOf(stored));
  const whole = outputFor(rawLength, into);
  const target = itemsOf(whole, items);
  for (let index = 0; index < groups; index++) {
    reader.readGroup(target, groupLayout(index, rawLength, items));
  }
  reader.finish();
  for (let at = rawLength; at < whole.byteLength; at++) {
    if (whole[at] !== 0) throw invalid("bytes behind its last element are not zero");
  }
  return whole.subarray(0, rawLength);
}

/** A chunk in the stored form of the codec `levels`, whether that pays or not. */
export function levelsBytes(raw: Uint8Array, dtype: DType): Uint8Array {
  const items = itemBitsOf(dtype);
  const source = itemsOf(raw, items);
  const groups = groupCount(raw.byteLength, items);
  const writer = new LevelsWriter(items, raw.byteLength);
  const group = new Uint32Array(GROUP_ITEMS);
  for (let index = 0; index < groups; index++) {
    const layout = groupLayout(index, raw.byteLength, items);
    gather(source, layout, group);
    writer.addGroup(group, layout.count);
  }
  return writer.toBytes();
}

/** Whole words for so many bytes: those of `into` where it has just as many, and is aligned. */
function outputFor(byteLength: number, into: Uint8Array | undefined): Uint8Array {
  const fits = into !== undefined && byteLength % 4 === 0 && into.byteOffset % 4 === 0;
  return fits ? into.subarray(0, byteLength) : new Uint8Array(Math.ceil(byteLength / 4) * 4);
}

/** A view of bytes as items; a copy where they are not aligned, or where the last item is not complete. */
function itemsOf(bytes: Uint8Array, { bits }: ItemBits): Uint16Array | Uint32Array {
  const size = bits / 8;
  const isView = bytes.byteOffset % size === 0 && bytes.byteLength % size === 0;
  const count = Math.ceil(bytes.byteLength / size);
  const whole = isView ? bytes : new Uint8Array(count * size);
  if (!isView) whole.set(bytes);
  return bits === 16
    ? new Uint16Array(whole.buffer, whole.byteOffset, count)
    : new Uint32Array(whole.buffer, whole.byteOffset, count);
}

function wordsOf(stored: Uint8Array): Uint32Array {
  const aligned = stored.byteOffset % 4 === 0 ? stored : stored.slice();
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}

function gather(
  source: Uint16Array | Uint32Array,
  { first, step, count }: GroupLayout,
  group: Uint32Array,
): void {
  for (let i = 0, at = first; i < count; i++, at += step) group[i] = source[at] as number;
}
