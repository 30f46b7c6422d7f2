import type { ItemBits } from "../base/item_bits.ts";

/** Items of a group, which is what one workgroup of the `levels_*` kernels works on. */
export const LEVELS_GROUP_ITEMS = 1024;
/** Invocations in their workgroups: each has four items. */
export const LEVELS_INVOCATIONS = 256;

/** A span of chunks in one buffer: equally long, except that the last one may be shorter. */
export interface LevelsSpan {
  /** Bytes of all chunks: a whole number of elements. */
  readonly byteLength: number;
  /** Bytes of each chunk but the last: a multiple of 4 and of the element. */
  readonly chunkBytes: number;
}

/** How many chunks and groups a span has. */
export interface LevelsCounts {
  readonly chunks: number;
  /** Groups of each chunk but the last. */
  readonly chunkGroups: number;
  readonly groups: number;
}

/** Counts the chunks and groups of a span. Throws `RangeError` for invalid lengths. */
export function levelsCounts({ byteLength, chunkBytes }: LevelsSpan, items: ItemBits): LevelsCounts {
  const elementBytes = items.columns * items.bits / 8;
  const isWhole = byteLength > 0 && byteLength % elementBytes === 0;
  if (!Number.isSafeInteger(byteLength) || !isWhole) {
    throw new RangeError(
      `A span of ${byteLength} bytes is no whole number of elements of ${elementBytes} bytes`,
    );
  }
  if (!Number.isSafeInteger(chunkBytes) || chunkBytes <= 0 || chunkBytes % Math.max(4, elementBytes) !== 0) {
    throw new RangeError(
      `chunkBytes is ${chunkBytes}; expected a multiple of ${Math.max(4, elementBytes)}, and of the element`,
    );
  }
  const groupsOf = (bytes: number): number =>
    items.columns * Math.ceil(bytes / elementBytes / LEVELS_GROUP_ITEMS);
  const chunks = Math.ceil(byteLength / chunkBytes);
  const chunkGroups = groupsOf(chunkBytes);
  const last = groupsOf(byteLength - (chunks - 1) * chunkBytes);
  return { chunks, chunkGroups, groups: (chunks - 1) * chunkGroups + last };
}

/** Size in bytes of what {@link encodeLevelsSpan} makes. */
export const LEVELS_SPAN_BYTES = 48;

/** The uniform that tells a dispatch about its span, and which groups of it to work on. */
export function encodeLevelsSpan(
  span: LevelsSpan,
  items: ItemBits,
  part: { readonly firstChunk: number; readonly chunks: number } = { firstChunk: 0, chunks: Infinity },
): Uint32Array {
  const { chunkGroups, groups } = levelsCounts(span, items);
  const first = part.firstChunk * chunkGroups;
  const end = Math.min(groups, (part.firstChunk + part.chunks) * chunkGroups);
  const itemBytes = items.bits / 8;
  const lengths = [span.byteLength / itemBytes, span.chunkBytes / itemBytes, chunkGroups, first, end];
  const bits = [items.bits, items.columns, items.shift, items.exponentBits];
  const words = new Uint32Array(LEVELS_SPAN_BYTES / 4);
  words.set([...lengths, ...bits]);
  return words;
}

/** What the uniform has, and where groups and items are. `span` and `stored` are bound by the kernels themselves. */
export const LEVELS_SPAN_WGSL: string = `struct Span {
  items: u32,
  chunk_items: u32,
  chunk_groups: u32,
  first_group: u32,
  end_group: u32,
  // Of the items, as in \`ItemBits\`: in the uniform, so that one pipeline does for all dtypes.
  item_bits: u32,
  columns: u32,
  shift: u32,
  exponent_bits: u32,
}

struct Group {
  chunk: u32,
  // In its chunk.
  index: u32,
  // Its first item, in the span; the next ones are \`columns\` apart.
  first: u32,
  count: u32,
}

fn group_at(number: u32) -> Group {
  let chunk = number / span.chunk_groups;
  let index = number % span.chunk_groups;
  let start = chunk * span.chunk_items;
  let elements = min(span.chunk_items, span.items - start) / span.columns;
  let element = index / span.columns * ${LEVELS_GROUP_ITEMS}u;
  let first = start + element * span.columns + index % span.columns;
  return Group(chunk, index, first, min(${LEVELS_GROUP_ITEMS}u, elements - element));
}

fn chunk_bytes(chunk: u32) -> u32 {
  return min(span.chunk_items, span.items - chunk * span.chunk_items) * (span.item_bits / 8u);
}

fn words_for(count: u32, bits: u32) -> u32 {
  return (count * bits + 31u) / 32u;
}

fn exponent_of(item: u32) -> u32 {
  return (item >> span.shift) & ((1u << span.exponent_bits) - 1u);
}

// Sign and mantissa, the sign in front.
fn rest_of(item: u32) -> u32 {
  return ((item >> (span.item_bits - 1u)) << span.shift) | (item & ((1u << span.shift) - 1u));
}

// What the word at the head of a chunk says of a group.
struct Head {
  words: u32,
  base: u32,
  kind: u32,
  has_mask: bool,
  zero_bits: u32,
  rest_bits: u32,
}

fn head_of(word: u32) -> Head {
  return Head(
    word & 2047u,
    (word >> 11u) & 255u,
    (word >> 19u) & 7u,
    ((word >> 22u) & 1u) == 1u,
    ((word >> 23u) & 3u) * 8u,
    word >> 25u,
  );
}

// Kinds; 1 to 4 are the bits of a code in each level.
const EQUAL = 0u;
const MOST_LEVEL_BITS = 4u;
const WHOLE = 5u;
const ZEROS = 6u;
const RAW = 7u;
const LEVELS = 3u;

// Exponents above those of the levels before that a level has codes for; the first one has none.
fn above_of(level: u32, bits: u32) -> i32 {
  return select(i32((1u << bits) / 4u), 0, level == 0u);
}

fn below_of(level: u32, bits: u32) -> i32 {
  return i32(1u << bits) - 1 - above_of(level, bits);
}
`;

/** `item_at(i)`: item i of `source`, an array of words. */
export const LEVELS_SOURCE_WGSL: string = `fn item_at(index: u32) -> u32 {
  if (span.item_bits == 32u) {
    return source[index];
  }
  return (source[index / 2u] >> (index % 2u * 16u)) & 0xffffu;
}
`;

/** Begins the entry point of a kernel with a workgroup for each group; its body and its brace follow. */
export const LEVELS_GROUP_MAIN_WGSL: string = `@compute @workgroup_size(${LEVELS_INVOCATIONS})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let number = span.first_group + workgroup.y * workgroups.x + workgroup.x;
  if (number >= span.end_group) {
    return;
  }
  let group = group_at(number);`;
