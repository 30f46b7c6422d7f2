import { type Dispatch, gridFor, workgroupMainWgsl } from "../../gpu/dispatch.ts";
import { floatBitsWgsl } from "../float_bits.ts";
import { each, lines } from "../matmul/matmul_layout.ts";
import { requireElements, requireSizes } from "../sizes.ts";
import { vectorsOf } from "./attention_sizes.ts";
import { EXPONENTIAL_WGSL, loadRowWgsl, storeRowWgsl } from "./attention_wgsl.ts";
import { dotLines } from "./row_source.ts";

/** The sizes of an attention over what is kept of positions before. */
export interface CachedAttentionSizes {
  readonly batch: number;
  readonly heads: number;
  /** Heads of keys and values; divides `heads`. Neighbouring query heads share one. */
  readonly keyHeads: number;
  /** Positions of this call, each of which has a query, a key and a value. */
  readonly queries: number;
  /** Positions that the cache has room for. */
  readonly room: number;
  readonly width: number;
  /** Of values and of the result. */
  readonly valueWidth: number;
}

/** What the kernel binds. */
export interface CachedAttentionBindings<B> {
  /** `[batch, heads, queries, width]`. */
  readonly queries: B;
  /** Those of this call, `[queries, batch, keyHeads, width]`, and likewise the values. */
  readonly keys: B;
  readonly values: B;
  /** Those of the positions before, `[room, batch, keyHeads, width]`, and likewise the values. */
  readonly pastKeys: B;
  readonly pastValues: B;
  /** u32 `[queries]`: the numbers of the positions, one after the other. */
  readonly positions: B;
  /** `[batch, heads, queries, valueWidth]`. */
  readonly out: B;
}

/** Invocations of a workgroup: the keys of a query are divided among them. */
const INVOCATIONS = 64;

/** Vectors of the result that are added up at a time: 8 KiB of workgroup memory. */
const COLUMNS = 8;

/**
 * Causal attention of positions that follow others whose keys and values are in a cache, f32: what `attention` gives
 * for these positions, were it asked for the whole sequence. Each invocation of a workgroup goes through every 64th key
 * that the query sees, keeps the largest score so far and scales its sums when that grows; then all sums are added up,
 * in a fixed order, so that equal inputs give equal bits.
 */
export function cachedAttention<B>(
  bindings: CachedAttentionBindings<B>,
  sizes: CachedAttentionSizes,
  scale: number,
): Dispatch<B> {
  const { batch, heads, keyHeads, queries, room, width, valueWidth } = sizes;
  requireSizes("attention", { batch, heads, keyHeads, queries, room, width, valueWidth });
  for (const row of [width, valueWidth]) {
    requireElements("attention", [batch, heads, queries, row]);
    requireElements("attention", [batch, keyHeads, room, row]);
  }
  return {
    label: `attention of ${batch * heads} heads, ${queries} queries, a cache of ${room}`,
    code: cachedWgsl(width, valueWidth),
    constants: {
      rows: batch * heads * queries,
      queries,
      group: heads / keyHeads,
      key_heads: batch * keyHeads,
      scale,
    },
    bindings: [
      bindings.queries,
      bindings.keys,
      bindings.values,
      bindings.pastKeys,
      bindings.pastValues,
      bindings.positions,
      bindings.out,
    ],
    workgroups: gridFor(batch * heads * queries),
  };
}

function cachedWgsl(width: number, valueWidth: number): string {
  const [vectors, valueVectors] = [vectorsOf(width), vectorsOf(valueWidth)];
  const attend = (keys: string, values: string): string[] => [
    ...dotLines("score", vectors, "query", (v) => `load_${keys}(place, ${v}u)`),
    "let next = max(largest, score);",
    "let kept = exp_of(largest - next);",
    "let weight = exp_of(score - next);",
    "largest = next;",
    "total = total * kept + weight;",
    ...each(
      valueVectors,
      (v) => `sum_${v} = fma(vec4<f32>(weight), load_${values}(place, ${v}u), sum_${v} * kept);`,
    ),
  ];
  return `// A workgroup has a query, and an invocation every ${INVOCATIONS}th of the keys that it sees.
override rows: u32;
override queries: u32;
override group: u32; // query heads that share a head of keys
override key_heads: u32; // of all batches
override scale: f32;

${loadRowWgsl("query", 0, width)}
${loadRowWgsl("keys", 1, width)}
${loadRowWgsl("values", 2, valueWidth)}
${loadRowWgsl("past_keys", 3, width)}
${loadRowWgsl("past_values", 4, valueWidth)}
@group(0) @binding(5) var<storage, read> positions: array<u32>;
${storeRowWgsl("out", 6, valueWidth)}

var<workgroup> all_largest: array<f32, ${INVOCATIONS}>;
var<workgroup> all_totals: array<f32, ${INVOCATIONS}>;
var<workgroup> all_sums: array<vec4<f32>, ${INVOCATIONS * COLUMNS}>;

${floatBitsWgsl("f32")}
${EXPONENTIAL_WGSL}

${workgroupMainWgsl(INVOCATIONS, "row")}
  if (row >= rows) {
    return;
  }
  let own = row % queries;
  let key_head = row / queries / group;
  let past = positions[0];
${lines(1, each(vectors, (v) => `let query_${v} = load_query(row, ${v}u) * scale;`))}
  var largest = -3.0e38;
  var total = 0.0;
${lines(1, each(valueVectors, (v) => `var sum_${v} = vec4<f32>();`))}
  for (var key = local; key < past; key += ${INVOCATIONS}u) {
    let place = key * key_heads + key_head;
${lines(2, attend("past_keys", "past_values"))}
  }
  for (var key = local; key <= own; key += ${INVOCATIONS}u) {
    let place = key * key_heads + key_head;
${lines(2, attend("keys", "values"))}
  }
  all_largest[local] = largest;
  workgroupBarrier();
  var most = all_largest[0];
  for (var other = 1u; other < ${INVOCATIONS}u; other++) {
    most = max(most, all_largest[other]);
  }
  let share = exp_of(largest - most);
  all_totals[local] = total * share;
${lines(1, finishLines(valueVectors))}
}
`;
}

/** Adds up the sums of all invocations, some columns at a time. */
function finishLines(valueVectors: number): string[] {
  const starts = each(Math.ceil(valueVectors / COLUMNS), (start) => String(start * COLUMNS)).map(Number);
  return starts.flatMap((start) => {
    const columns = Math.min(COLUMNS, valueVectors - start);
    return [
      ...start === 0 ? [] : ["workgroupBarrier();"],
      ...each(columns, (c) => `all_sums[local * ${COLUMNS}u + ${c}u] = sum_${start + c} * share;`),
      "workgroupBarrier();",
      `if (local < ${columns}u) {`,
      "  var sum = vec4<f32>();",
      "  var all = 0.0;",
      `  for (var other = 0u; other < ${INVOCATIONS}u; other++) {`,
      `    sum += all_sums[other * ${COLUMNS}u + local];`,
      "    all += all_totals[other];",
      "  }",
      `  store_out(row, ${start}u + local, sum / all);`,
      "}",
    ];
  });
}
