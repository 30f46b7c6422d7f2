import { type Dispatch, gridFor } from "../gpu/dispatch.ts";
import {
  LEVELS_GROUP_MAIN_WGSL,
  LEVELS_INVOCATIONS,
  LEVELS_SOURCE_WGSL,
  LEVELS_SPAN_WGSL,
  type LevelsCounts,
} from "./levels_span.ts";
import { PREFIX_SUM_WGSL } from "./prefix_sum.ts";

/** What the kernel reads and writes. */
export interface LevelsMeasureBindings<B> {
  /** A uniform, `encodeLevelsSpan`. */
  readonly span: B;
  /** The span's raw bytes. */
  readonly source: B;
  /** One word for each group. */
  readonly heads: B;
}

/**
 * The first pass of the codec `levels`: the smallest form of every group, as the word at the head of its chunk.
 *
 * A workgroup counts the exponents of its group. Each of its invocations then is one exponent, and says how long the
 * group would be with that one as the base of its levels.
 */
export function levelsMeasure<B>(
  { span, source, heads }: LevelsMeasureBindings<B>,
  { groups }: Pick<LevelsCounts, "groups">,
): Dispatch<B> {
  return {
    label: "levels measure",
    code: MEASURE_WGSL,
    constants: {},
    bindings: [span, source, heads],
    workgroups: gridFor(groups),
  };
}

const MEASURE_WGSL = `@group(0) @binding(0) var<uniform> span: Span;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> heads: array<u32>;

${LEVELS_SPAN_WGSL}
${LEVELS_SOURCE_WGSL}
${PREFIX_SUM_WGSL}
var<workgroup> counts: array<atomic<u32>, 256>;
// How many exponents there are below each one.
var<workgroup> below: array<u32, 257>;
var<workgroup> zeros: atomic<u32>;
var<workgroup> rests: atomic<u32>;
// Words of the exponents, and from the lowest bit the base (8 bits) and the kind (3 bits): so the least is the best.
var<workgroup> best: atomic<u32>;

fn key_of(words: u32, kind: u32, base: u32) -> u32 {
  return (words << 11u) | (kind << 8u) | base;
}

// Words of \`kept\` exponents in levels of \`bits\` bits around \`base\`.
fn level_words(kept: u32, base: u32, bits: u32) -> u32 {
  var left = kept;
  var words = 0u;
  var top = i32(base);
  var bottom = top + 1;
  for (var level = 0u; level < LEVELS; level++) {
    words += words_for(left, bits);
    top += above_of(level, bits);
    bottom -= below_of(level, bits);
    left = kept - below[min(256, top + 1)] + below[max(0, bottom)];
  }
  return words + words_for(left, span.exponent_bits);
}

fn head_word(count: u32, zero_count: u32, zero_bits: u32, rest_bits: u32, has_mask: bool) -> u32 {
  if (zero_count == count) {
    return ZEROS << 19u;
  }
  let key = atomicLoad(&best);
  let kept = select(count, count - zero_count, has_mask);
  let words = (key >> 11u) + select(0u, words_for(count, 1u), has_mask) + words_for(kept, rest_bits);
  let raw_words = words_for(count, span.item_bits);
  if (words >= raw_words) {
    return raw_words | (RAW << 19u);
  }
  return words | ((key & 255u) << 11u) | (((key >> 8u) & 7u) << 19u) | (u32(has_mask) << 22u) |
    ((zero_bits / 8u) << 23u) | (rest_bits << 25u);
}

${LEVELS_GROUP_MAIN_WGSL}
  atomicStore(&counts[local], 0u);
  if (local == 0u) {
    atomicStore(&zeros, 0u);
    atomicStore(&rests, 0u);
    atomicStore(&best, 0xffffffffu);
  }
  workgroupBarrier();

  var own_zeros = 0u;
  var own_rests = 0u;
  for (var i = local; i < group.count; i += ${LEVELS_INVOCATIONS}u) {
    let item = item_at(group.first + i * span.columns);
    atomicAdd(&counts[exponent_of(item)], 1u);
    own_rests |= rest_of(item);
    own_zeros += u32(item == 0u);
  }
  atomicOr(&rests, own_rests);
  atomicAdd(&zeros, own_zeros);
  workgroupBarrier();

  let zero_count = atomicLoad(&zeros);
  let all_rests = atomicLoad(&rests);
  let zero_bits = select(countTrailingZeros(all_rests) / 8u * 8u, 0u, all_rests == 0u);
  let rest_bits = 32u - countLeadingZeros(all_rests >> zero_bits);
  // With a mask an item that is zero saves its rest and a short code, and each item costs a bit.
  let has_mask = zero_count * (rest_bits + 2u) > group.count;
  let kept = select(group.count, group.count - zero_count, has_mask);
  let own_count = atomicLoad(&counts[local]) - select(0u, zero_count, has_mask && local == 0u);
  below[local] = sum_before(local, own_count);
  if (local == 255u) {
    below[256] = kept;
  }
  workgroupBarrier();

  if (own_count > 0u) {
    if (own_count == kept) {
      atomicMin(&best, key_of(0u, EQUAL, local));
    }
    for (var bits = 1u; bits <= MOST_LEVEL_BITS; bits++) {
      atomicMin(&best, key_of(level_words(kept, local, bits), bits, local));
    }
  }
  if (local == 0u) {
    atomicMin(&best, key_of(words_for(kept, span.exponent_bits), WHOLE, 0u));
  }
  workgroupBarrier();
  if (local == 0u) {
    heads[number] = head_word(group.count, zero_count, zero_bits, rest_bits, has_mask);
  }
}
`;
