import { type Dispatch, gridFor } from "../gpu/dispatch.ts";
import {
  LEVELS_GROUP_ITEMS,
  LEVELS_GROUP_MAIN_WGSL,
  LEVELS_INVOCATIONS,
  LEVELS_SOURCE_WGSL,
  LEVELS_SPAN_WGSL,
} from "./levels_span.ts";
import { PREFIX_SUM_WGSL } from "./prefix_sum.ts";

/** What the kernel reads and writes: words all of it. */
export interface LevelsEncodeBindings<B> {
  /** A uniform, `encodeLevelsSpan`: which part of the span to encode. */
  readonly span: B;
  /** The span's raw bytes. */
  readonly source: B;
  /** For each group of the span its head, from `levelsMeasure`. */
  readonly heads: B;
  /** For each group of the span where its body begins in its chunk, from `levelsOffsets`. */
  readonly offsets: B;
  /** For each chunk of the span where it goes in `stored`; 0xFFFFFFFF for one that is left out. */
  readonly targets: B;
  /** The stored chunks. */
  readonly stored: B;
}

/**
 * The third pass of the codec `levels`: writes the chunks as they are stored. A workgroup moves its group's items
 * together, then writes row after row of fields of equal width, each word by one invocation: nothing is written twice.
 */
export function levelsEncode<B>(
  { span, source, heads, offsets, targets, stored }: LevelsEncodeBindings<B>,
  { groups }: { readonly groups: number },
): Dispatch<B> {
  return {
    label: "levels encode",
    code: ENCODE_WGSL,
    constants: {},
    bindings: [span, source, heads, offsets, targets, stored],
    workgroups: gridFor(groups),
  };
}

const ENCODE_WGSL = `@group(0) @binding(0) var<uniform> span: Span;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read> heads: array<u32>;
@group(0) @binding(3) var<storage, read> offsets: array<u32>;
@group(0) @binding(4) var<storage, read> targets: array<u32>;
@group(0) @binding(5) var<storage, read_write> stored: array<u32>;

${LEVELS_SPAN_WGSL}
${LEVELS_SOURCE_WGSL}
${PREFIX_SUM_WGSL}
// Items that are kept; later the exponents that are left for the next level.
var<workgroup> kept_items: array<u32, ${LEVELS_GROUP_ITEMS}>;
// What the next row is made of.
var<workgroup> fields: array<u32, ${LEVELS_GROUP_ITEMS}>;

// Writes \`count\` fields of \`bits\` bits from word \`at\` on, from the lowest bit up.
fn write_row(local: u32, at: u32, count: u32, bits: u32) {
  for (var word = local; word < words_for(count, bits); word += ${LEVELS_INVOCATIONS}u) {
    let begin = word * 32u;
    var value = 0u;
    for (var i = begin / bits; i < count && i * bits < begin + 32u; i++) {
      let bit = i * bits;
      if (bit >= begin) {
        value |= fields[i] << (bit - begin);
      } else {
        value |= fields[i] >> (begin - bit);
      }
    }
    stored[at + word] = value;
  }
}

${LEVELS_GROUP_MAIN_WGSL}
  let target_at = targets[group.chunk];
  if (target_at == 0xffffffffu) {
    return;
  }
  let head_word = heads[number];
  let head = head_of(head_word);
  if (local == 0u) {
    stored[target_at + 1u + group.index] = head_word;
    if (group.index == 0u) {
      stored[target_at] = chunk_bytes(group.chunk);
    }
  }
  if (head.kind == ZEROS) {
    return;
  }
  var at = target_at + offsets[number];
  let end = at + head.words;

  // Items, four to an invocation, without those that the mask leaves out.
  let own = local * 4u;
  let own_end = min(own + 4u, group.count);
  var own_mask = 0u;
  for (var i = own; i < own_end; i++) {
    let is_kept = !head.has_mask || item_at(group.first + i * span.columns) != 0u;
    own_mask |= u32(is_kept) << (i - own);
  }
  var rank = sum_before(local, countOneBits(own_mask));
  let kept = prefix_total;
  for (var i = own; i < own_end; i++) {
    if (((own_mask >> (i - own)) & 1u) == 1u) {
      kept_items[rank] = item_at(group.first + i * span.columns);
      rank++;
    }
  }
  if (head.kind == RAW) {
    for (var i = own; i < own_end; i++) {
      fields[i] = kept_items[i];
    }
    workgroupBarrier();
    write_row(local, at, kept, span.item_bits);
    return;
  }
  if (head.has_mask) {
    fields[local] = own_mask;
    workgroupBarrier();
    write_row(local, at, (group.count + 3u) / 4u, 4u);
    at += words_for(group.count, 1u);
  }
  workgroupBarrier();

  for (var i = own; i < min(own + 4u, kept); i++) {
    let item = kept_items[i];
    fields[i] = rest_of(item) >> head.zero_bits;
    kept_items[i] = exponent_of(item);
  }
  workgroupBarrier();
  if (head.rest_bits > 0u) {
    write_row(local, end - words_for(kept, head.rest_bits), kept, head.rest_bits);
  }
  if (head.kind == EQUAL) {
    return;
  }

  var left = kept;
  if (head.kind != WHOLE) {
    let bits = head.kind;
    let escape = (1u << bits) - 1u;
    var top = i32(head.base);
    var bottom = top + 1;
    for (var level = 0u; level < LEVELS; level++) {
      workgroupBarrier();
      let above = above_of(level, bits);
      let below = below_of(level, bits);
      var exponents = vec4<u32>();
      var escapes = 0u;
      for (var i = own; i < min(own + 4u, left); i++) {
        let exponent = i32(kept_items[i]);
        exponents[i - own] = u32(exponent);
        if (exponent > top && exponent <= top + above) {
          fields[i] = u32(exponent - top - 1);
        } else if (exponent < bottom && exponent >= bottom - below) {
          fields[i] = u32(above + bottom - 1 - exponent);
        } else {
          fields[i] = escape;
          escapes |= 1u << (i - own);
        }
      }
      var next = sum_before(local, countOneBits(escapes));
      write_row(local, at, left, bits);
      at += words_for(left, bits);
      for (var i = 0u; i < 4u; i++) {
        if (((escapes >> i) & 1u) == 1u) {
          kept_items[next] = exponents[i];
          next++;
        }
      }
      left = prefix_total;
      top += above;
      bottom -= below;
    }
  }
  workgroupBarrier();
  for (var i = own; i < min(own + 4u, left); i++) {
    fields[i] = kept_items[i];
  }
  workgroupBarrier();
  write_row(local, at, left, span.exponent_bits);
}
`;
