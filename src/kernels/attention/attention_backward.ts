import { type Dispatch, gridFor } from "../../gpu/dispatch.ts";
import { type KernelMemory, type KernelStep, UNIFORM_BYTES } from "../kernel_steps.ts";
import { each, lines } from "../matmul/matmul_layout.ts";
import { zeros } from "./attention_forward.ts";
import {
  type Attention,
  attentionConstants,
  type AttentionVariant,
  requireAttention,
  vectorsOf,
} from "./attention_sizes.ts";
import {
  attentionWgsl,
  extraBindings,
  hides,
  loadedLines,
  loadRowWgsl,
  scoreLines,
  storedLines,
  storeRowWgsl,
} from "./attention_wgsl.ts";
import { listPages, packPages, planPages } from "./pages.ts";
import { dotLines, rowSource } from "./row_source.ts";

/** What both gradient kernels read. Rows of queries are `[batch, heads, queries]`. */
export interface AttentionGradientInputs<B> {
  readonly queries: B;
  readonly keys: B;
  readonly values: B;
  readonly mask?: B | undefined;
  readonly scalars?: B | undefined;
  readonly outGradient: B;
  /** What the forward pass left, a number a row. */
  readonly logSums: B;
  /** The product of each row of the output with its gradient. */
  readonly products: B;
}

/**
 * The gradient of the queries. Weights are computed anew from the logarithms of their sums, so that none are kept;
 * sums go over keys in their order.
 */
export function attentionQueryGradient<B>(
  inputs: AttentionGradientInputs<B>,
  out: B,
  attention: Attention,
  variant: AttentionVariant,
  memory: KernelMemory<B>,
): KernelStep<B>[] {
  const { batch, heads, keyHeads, queries, keys, width, valueWidth } = attention.sizes;
  const count = batch * heads * queries * width;
  if (count === 0) return [];
  if (keys === 0) return [zeros(out, count)];
  return gradientSteps({
    rows: [{ input: inputs.keys, width, label: "keys" }, {
      input: inputs.values,
      width: valueWidth,
      label: "values",
    }],
    heads: batch * keyHeads,
    rowsOfHead: keys,
    attention,
    variant,
    memory,
    dispatch: (rows, headCount) => queryDispatch(rows, inputs, out, attention, variant, headCount),
  });
}

/** The gradients of keys and values. Sums go over the heads that share them, and over queries in their order. */
export function attentionKeyGradients<B>(
  inputs: AttentionGradientInputs<B>,
  out: { readonly keys: B; readonly values: B },
  attention: Attention,
  variant: AttentionVariant,
  memory: KernelMemory<B>,
): KernelStep<B>[] {
  const { batch, heads, keyHeads, queries, keys, width, valueWidth } = attention.sizes;
  const rows = batch * keyHeads * keys;
  if (rows === 0) return [];
  if (queries === 0) return [zeros(out.keys, rows * width), zeros(out.values, rows * valueWidth)];
  return gradientSteps({
    rows: [
      { input: inputs.queries, width, label: "queries" },
      { input: inputs.outGradient, width: valueWidth, label: "gradients" },
    ],
    heads: batch * keyHeads,
    rowsOfHead: heads / keyHeads * queries,
    attention,
    variant,
    memory,
    dispatch: (rows, headCount) => keyDispatch(rows, inputs, out, attention, variant, headCount),
  });
}

interface GradientPlan<B> {
  readonly rows: readonly { readonly input: B; readonly width: number; readonly label: string }[];
  readonly heads: number;
  readonly rowsOfHead: number;
  readonly attention: Attention;
  readonly variant: AttentionVariant;
  readonly memory: KernelMemory<B>;
  /** A dispatch over so many heads of keys. */
  readonly dispatch: (rows: readonly B[], headCount: number) => KernelStep<B>;
}

function gradientSteps<B>(
  { rows, heads, rowsOfHead, attention, variant, memory, dispatch }: GradientPlan<B>,
): KernelStep<B>[] {
  requireAttention(attention.sizes);
  if (variant === "tile") {
    return [dispatch(rows.map(({ input }) => input), heads)];
  }
  const pages = planPages(heads, rowsOfHead, Math.max(...rows.map(({ width }) => width)));
  const packed = rows.map(({ label }) => memory.scratch(`pages of ${label}`, pages.count * UNIFORM_BYTES));
  const packs = rows.flatMap(({ input, width }, index): KernelStep<B>[] => {
    const out = packed[index];
    return out === undefined ? [] : [{ dispatch: packPages({ input, out }, pages, width), writes: [out] }];
  });
  const launches = listPages(pages).map(({ index, headCount }) =>
    dispatch(packed.map((all) => memory.slice(all, index * UNIFORM_BYTES, UNIFORM_BYTES)), headCount)
  );
  return [...packs, ...launches];
}

function queryDispatch<B>(
  rows: readonly B[],
  inputs: AttentionGradientInputs<B>,
  out: B,
  attention: Attention,
  variant: AttentionVariant,
  headCount: number,
): KernelStep<B> {
  const { sizes } = attention;
  const { invocations } = rowSource(variant, sizes.width, sizes.valueWidth);
  const tiles = Math.ceil(sizes.queries / invocations);
  const heads = headCount * (sizes.heads / sizes.keyHeads);
  const bindings = [...rows, inputs.queries, inputs.outGradient, inputs.logSums, inputs.products, out];
  const dispatch = launchOf("queries", heads, tiles, attention, [
    ...bindings,
    ...extraBindings(attention.manner, inputs),
  ]);
  return { dispatch: { ...dispatch, code: queryWgsl(attention, variant) }, writes: [out] };
}

function keyDispatch<B>(
  rows: readonly B[],
  inputs: AttentionGradientInputs<B>,
  out: { readonly keys: B; readonly values: B },
  attention: Attention,
  variant: AttentionVariant,
  headCount: number,
): KernelStep<B> {
  const { sizes } = attention;
  const { invocations } = rowSource(variant, sizes.width, sizes.valueWidth);
  const tiles = Math.ceil(sizes.keys / invocations);
  const written = [out.keys, out.values];
  const bindings = [...rows, inputs.keys, inputs.values, inputs.logSums, inputs.products, ...written];
  const dispatch = launchOf("keys and values", headCount, tiles, attention, [
    ...bindings,
    ...extraBindings(attention.manner, inputs),
  ]);
  return { dispatch: { ...dispatch, code: keyWgsl(attention, variant) }, writes: written };
}

function launchOf<B>(
  what: string,
  heads: number,
  tiles: number,
  attention: Attention,
  bindings: readonly B[],
): Omit<Dispatch<B>, "code"> {
  const { queries, keys } = attention.sizes;
  return {
    label: `gradient of ${what} of ${heads} heads, ${queries} queries, ${keys} keys`,
    constants: {
      ...attentionConstants(attention),
      tiles,
    },
    bindings,
    workgroups: gridFor(heads * tiles),
  };
}

/** The entry point of both, up to the number of its own row. A dispatch has `heads` of them. */
function mainWgsl(invocations: number, heads: string): string {
  return `@compute @workgroup_size(${invocations})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = workgroup.y * workgroups.x + workgroup.x;
  let launch_head = index / tiles;
  if (launch_head >= ${heads}) {
    return;
  }
  let first_own = index % tiles * ${invocations}u;
  let own = first_own + local;`;
}

const LAUNCH_WGSL = `override tiles: u32; // of a head`;

function queryWgsl({ sizes: { width, valueWidth }, manner }: Attention, variant: AttentionVariant): string {
  const source = rowSource(variant, width, valueWidth);
  const [vectors, valueVectors] = [vectorsOf(width), vectorsOf(valueWidth)];
  const seen = (value: string): string => hides(manner) ? `select(${value}, vec4<f32>(), is_hidden)` : value;
  return `// An invocation has one query, and goes through the keys that it sees.
${LAUNCH_WGSL}
${source.declarations}
${loadRowWgsl("query", 2, width)}
${loadRowWgsl("gradient", 3, valueWidth)}
@group(0) @binding(4) var<storage, read> log_sums: array<f32>;
@group(0) @binding(5) var<storage, read> products: array<f32>;
${storeRowWgsl("out", 6, width)}
${attentionWgsl(manner, 7)}

${mainWgsl(source.invocations, `${source.headCount} * group`)}
  let head = ${source.firstHead} * group + launch_head;
${lines(1, source.head("(launch_head / group)", "keys"))}
  let end = ${manner.isCausal ? `min(keys, first_own + ${source.invocations}u)` : "keys"};
  // What is beyond the last query is computed for the last, and never written.
  let query_number = min(own, queries - 1u);
  let place = head * queries + query_number;
  let log_sum = log_sums[place];
  let product_sum = products[place];
${
    lines(1, [
      ...loadedLines(variant, "query", vectors, (v) => `load_query(place, ${v}) * scale`),
      ...loadedLines(variant, "sum", vectors, (v) => `load_out(place, ${v})`, {
        declare: "var",
        when: source.goesOn,
      }),
      ...loadedLines(variant, "gradient", valueVectors, (v) => `load_gradient(place, ${v})`),
    ])
  }
${
    lines(
      1,
      source.loop("0u", "end", [
        ...each(vectors, (v) => `let key_${v} = ${source.first(v)};`),
        ...dotLines("dot_of_keys", vectors, "query", (v) => `key_${v}`),
        ...dotLines("dot_of_values", valueVectors, "gradient", source.second),
        ...scoreLines(manner, {
          dot: "dot_of_keys",
          head: "head",
          query: "query_number",
          key: "row",
          suffix: "",
        }),
        "let weight = select(exp_of(score - log_sum), 0.0, is_hidden);",
        `let of_weight = dot_of_values${manner.drops ? " * kept(head, query_number, row)" : ""};`,
        // A key that is not seen gives nothing, whatever its elements are.
        "let of_score = select(weight * (of_weight - product_sum) * scale, 0.0, is_hidden);",
        ...each(vectors, (v) => `sum_${v} = fma(vec4<f32>(of_score), ${seen(`key_${v}`)}, sum_${v});`),
      ]).split("\n"),
    )
  }
  if (own < queries) {
${lines(2, storedLines(variant, "sum", vectors, (v, sum) => `store_out(place, ${v}, ${sum});`))}
  }
}
`;
}

function keyWgsl({ sizes: { width, valueWidth }, manner }: Attention, variant: AttentionVariant): string {
  const source = rowSource(variant, width, valueWidth);
  const [vectors, valueVectors] = [vectorsOf(width), vectorsOf(valueWidth)];
  const seen = (value: string): string => hides(manner) ? `select(${value}, vec4<f32>(), is_hidden)` : value;
  const begin = (sum: string, count: number, out: string): string[] =>
    loadedLines(variant, sum, count, (v) => `load_${out}(own_place, ${v})`, {
      declare: "var",
      when: source.goesOn,
    });
  return `// An invocation has one key with its value, and goes through the queries of all heads that share it.
${LAUNCH_WGSL}
${source.declarations}
${loadRowWgsl("key", 2, width)}
${loadRowWgsl("value", 3, valueWidth)}
@group(0) @binding(4) var<storage, read> log_sums: array<f32>;
@group(0) @binding(5) var<storage, read> products: array<f32>;
${storeRowWgsl("key_out", 6, width)}
${storeRowWgsl("value_out", 7, valueWidth)}
${attentionWgsl(manner, 8)}

${mainWgsl(source.invocations, source.headCount)}
  let key_head = ${source.firstHead} + launch_head;
${lines(1, source.head("launch_head", "group * queries"))}
  // What is beyond the last key is computed for the last, and never written.
  let key_number = min(own, keys - 1u);
  let own_place = key_head * keys + key_number;
${
    lines(1, [
      ...loadedLines(variant, "key", vectors, (v) => `load_key(own_place, ${v}) * scale`),
      ...begin("key_sum", vectors, "key_out"),
      ...loadedLines(variant, "value", valueVectors, (v) => `load_value(own_place, ${v})`),
      ...begin("value_sum", valueVectors, "value_out"),
    ])
  }
${
    lines(
      1,
      source.loop("0u", "group * queries", [
        "let query_number = row % queries;",
        "let head = key_head * group + row / queries;",
        // The same for all invocations: no key of theirs is seen by this query.
        ...manner.isCausal ? ["if (query_number < first_own) {", "  continue;", "}"] : [],
        ...each(vectors, (v) => `let query_${v} = ${source.first(v)};`),
        ...each(valueVectors, (v) => `let gradient_${v} = ${source.second(v)};`),
        ...dotLines("dot_of_keys", vectors, "key", (v) => `query_${v}`),
        ...dotLines("dot_of_values", valueVectors, "value", (v) => `gradient_${v}`),
        ...scoreLines(manner, {
          dot: "dot_of_keys",
          head: "head",
          query: "query_number",
          key: "key_number",
          suffix: "",
        }),
        "let of_query = head * queries + query_number;",
        "let weight = select(exp_of(score - log_sums[of_query]), 0.0, is_hidden);",
        ...manner.drops ? ["let factor = kept(head, query_number, key_number);"] : [],
        `let share = weight${manner.drops ? " * factor" : ""};`,
        `let of_weight = dot_of_values${manner.drops ? " * factor" : ""};`,
        "let of_score = select(weight * (of_weight - products[of_query]) * scale, 0.0, is_hidden);",
        // A query that does not see the key gives nothing, whatever its elements are.
        ...each(
          valueVectors,
          (v) => `value_sum_${v} = fma(vec4<f32>(share), ${seen(`gradient_${v}`)}, value_sum_${v});`,
        ),
        ...each(
          vectors,
          (v) => `key_sum_${v} = fma(vec4<f32>(of_score), ${seen(`query_${v}`)}, key_sum_${v});`,
        ),
      ]).split("\n"),
    )
  }
  if (own < keys) {
${
    lines(2, [
      ...storedLines(variant, "key_sum", vectors, (v, sum) => `store_key_out(own_place, ${v}, ${sum});`),
      ...storedLines(variant, "value_sum", valueVectors, (v, sum) =>
        `store_value_out(own_place, ${v}, ${sum});`),
    ])
  }
  }
}
`;
}
