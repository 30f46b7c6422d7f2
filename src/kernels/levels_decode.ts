import { type Dispatch, gridFor } from "./dispatch.ts";
import { LEVELS_GROUP_ITEMS, LEVELS_INVOCATIONS, LEVELS_RUN_WGSL } from "./levels_run.ts";
import { PREFIX_SUM_WGSL } from "./prefix_sum.ts";

/** What the kernel reads and writes: words all of it. */
export interface LevelsDecodeBindings<B> {
  /** A uniform, `encodeLevelsRun`. */
  readonly run: B;
  /** The stored chunks. */
  readonly stored: B;
  /** For each chunk where it begins in `stored`. */
  readonly places: B;
  /** For each group where its body begins in its chunk, from `levelsPlace` on the stored chunks themselves. */
  readonly offsets: B;
  /** The run's raw bytes. */
  readonly raw: B;
}

/**
 * The inverse of the codec `levels`. A workgroup reads its group's fields, level by level, and gives the exponents to
 * the items they are of. It trusts what is stored: damage gives wrong items, but nothing outside of the run is written.
 */
export function levelsDecode<B>(
  { run, stored, places, offsets, raw }: LevelsDecodeBindings<B>,
  { groups }: { readonly groups: number },
): Dispatch<B> {
  return {
    label: "levels decode",
    code: DECODE_WGSL,
    constants: {},
    bindings: [run, stored, places, offsets, raw],
    workgroups: gridFor(groups),
  };
}

const DECODE_WGSL = `@group(0) @binding(0) var<uniform> run: Run;
@group(0) @binding(1) var<storage, read> stored: array<u32>;
@group(0) @binding(2) var<storage, read> places: array<u32>;
@group(0) @binding(3) var<storage, read> offsets: array<u32>;
@group(0) @binding(4) var<storage, read_write> raw: array<u32>;

${LEVELS_RUN_WGSL}
${PREFIX_SUM_WGSL}
// By the rank of an item among those that are kept.
var<workgroup> exponents: array<u32, ${LEVELS_GROUP_ITEMS}>;
// Ranks of the items that are left for the next level.
var<workgroup> ranks: array<u32, ${LEVELS_GROUP_ITEMS}>;

// Field \`index\` of a row that begins at word \`at\`.
fn field_at(at: u32, index: u32, bits: u32) -> u32 {
  if (bits == 0u) {
    return 0u;
  }
  let bit = index * bits;
  let word = at + bit / 32u;
  let offset = bit % 32u;
  var value = stored[word] >> offset;
  if (offset + bits > 32u) {
    value |= stored[word + 1u] << (32u - offset);
  }
  return value & (0xffffffffu >> (32u - bits));
}

fn item_of(exponent: u32, rest: u32) -> u32 {
  return ((rest >> run.shift) << (run.item_bits - 1u)) | (exponent << run.shift) | (rest & ((1u << run.shift) - 1u));
}

@compute @workgroup_size(${LEVELS_INVOCATIONS})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let number = run.first_group + workgroup.y * workgroups.x + workgroup.x;
  if (number >= run.end_group) {
    return;
  }
  let group = group_at(number);
  let place = places[group.chunk];
  let head = head_of(stored[place + 1u + group.index]);
  var at = place + offsets[number];
  let end = at + head.words;
  let is_raw = head.kind == RAW;

  // Which of the four items of an invocation are kept.
  let own = local * 4u;
  let own_count = u32(clamp(i32(group.count) - i32(own), 0, 4));
  var own_mask = (1u << own_count) - 1u;
  if (head.has_mask && own_count > 0u) {
    own_mask &= stored[at + own / 32u] >> (own % 32u);
  }
  if (head.kind == ZEROS) {
    own_mask = 0u;
  }
  let own_rank = sum_before(local, countOneBits(own_mask));
  let kept = prefix_total;
  at += select(0u, words_for(group.count, 1u), head.has_mask);

  for (var i = own; i < own + 4u; i++) {
    ranks[i] = i;
    exponents[i] = head.base;
  }
  var left = select(kept, 0u, head.kind == EQUAL || is_raw);
  if (head.kind >= 1u && head.kind <= MOST_LEVEL_BITS) {
    let bits = head.kind;
    let escape = (1u << bits) - 1u;
    var top = i32(head.base);
    var bottom = top + 1;
    for (var level = 0u; level < LEVELS; level++) {
      workgroupBarrier();
      let above = above_of(level, bits);
      var own_ranks = vec4<u32>();
      var escapes = 0u;
      for (var i = own; i < min(own + 4u, left); i++) {
        let rank = ranks[i];
        own_ranks[i - own] = rank;
        let code = field_at(at, i, bits);
        if (code == escape) {
          escapes |= 1u << (i - own);
        } else {
          let exponent = select(above + bottom - 1 - i32(code), top + 1 + i32(code), i32(code) < above);
          exponents[rank] = u32(exponent);
        }
      }
      var next = sum_before(local, countOneBits(escapes));
      for (var i = 0u; i < 4u; i++) {
        if (((escapes >> i) & 1u) == 1u) {
          ranks[next] = own_ranks[i];
          next++;
        }
      }
      at += words_for(left, bits);
      left = prefix_total;
      top += above;
      bottom -= below_of(level, bits);
    }
  }
  workgroupBarrier();
  for (var i = own; i < min(own + 4u, left); i++) {
    exponents[ranks[i]] = field_at(at, i, run.exponent_bits);
  }
  workgroupBarrier();

  let rests = end - words_for(kept, head.rest_bits);
  var items = vec4<u32>();
  var rank = own_rank;
  for (var i = 0u; i < own_count; i++) {
    if (((own_mask >> i) & 1u) == 0u) {
      continue;
    }
    if (is_raw) {
      items[i] = field_at(at, own + i, run.item_bits);
    } else {
      items[i] = item_of(exponents[rank], field_at(rests, rank, head.rest_bits) << head.zero_bits);
    }
    rank++;
  }
  if (run.item_bits == 32u) {
    for (var i = 0u; i < own_count; i++) {
      raw[group.first + (own + i) * run.columns] = items[i];
    }
  } else {
    // The word of two items that are both there, or of a last one alone.
    for (var i = 0u; i < own_count; i += 2u) {
      raw[(group.first + own + i) / 2u] = items[i] | (items[i + 1u] << 16u);
    }
  }
}
`;
