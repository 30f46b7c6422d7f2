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
  const tiles = Math.ceil(sizes.queries / (invocations * queriesEach(variant, sizes)));
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
function mainWgsl(invocations: number, heads: string, rowsEach: number): string {
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
  let first_own = index % tiles * ${invocations * rowsEach}u;`;
}

const LAUNCH_WGSL = `override tiles: u32; // of a head`;

/** Queries of a head that are worth a kernel of two each, which takes a CPU adapter longer to compile. */
const ENOUGH_QUERIES = 512;

/** Queries that one invocation has: they share what is loaded, and their bits are the same, however many they are. */
function queriesEach(variant: AttentionVariant, { width, valueWidth, queries }: Attention["sizes"]): number {
  const isSmall = Math.max(vectorsOf(width), vectorsOf(valueWidth)) <= 8;
  return variant === "page" && isSmall && queries >= ENOUGH_QUERIES ? 2 : 1;
}

function queryWgsl({ sizes, manner }: Attention, variant: AttentionVariant): string {
  const { width, valueWidth } = sizes;
  const source = rowSource(variant, width, valueWidth);
  const [vectors, valueVectors] = [vectorsOf(width), vectorsOf(valueWidth)];
  const own = queriesEach(variant, sizes);
  const perQuery = (line: (r: number) => string[]) => each(own, line);
  const ends = `min(keys, first_own + ${source.invocations * own}u)`;
  return `// An invocation has ${own} of the queries, and goes through the keys that they see.
${LAUNCH_WGSL}
${source.declarations}
${loadRowWgsl("query", 2, width)}
${loadRowWgsl("gradient", 3, valueWidth)}
@group(0) @binding(4) var<storage, read> log_sums: array<f32>;
@group(0) @binding(5) var<storage, read> products: array<f32>;
${storeRowWgsl("out", 6, width)}
${attentionWgsl(manner, 7)}

${mainWgsl(source.invocations, `${source.headCount} * group`, own)}
  let head = ${source.firstHead} * group + launch_head;
${lines(1, source.head("(launch_head / group)", "keys"))}
  let end = ${manner.isCausal ? ends : "keys"};
${
    lines(
      1,
      perQuery((r) => [
        `let own_${r} = first_own + ${r * source.invocations}u + local;`,
        // What is beyond the last query is computed for the last, and never written.
        `let query_number_${r} = min(own_${r}, queries - 1u);`,
        `let place_${r} = head * queries + query_number_${r};`,
        `let log_sum_${r} = log_sums[place_${r}];`,
        `let product_sum_${r} = products[place_${r}];`,
        ...loadedLines(variant, `query_${r}`, vectors, (v) => `load_query(place_${r}, ${v}) * scale`),
        ...loadedLines(variant, `sum_${r}`, vectors, (v) => `load_out(place_${r}, ${v})`, {
          declare: "var",
          when: source.goesOn,
        }),
        ...loadedLines(variant, `gradient_${r}`, valueVectors, (v) => `load_gradient(place_${r}, ${v})`),
      ]),
    )
  }
${
    lines(
      1,
      source.loop("0u", "end", [
        ...each(vectors, (v) => `let key_${v} = ${source.first(v)};`),
        ...each(valueVectors, (v) => `let value_${v} = ${source.second(v)};`),
        ...perQuery((r) => querySumLines(r, vectors, valueVectors, manner)),
      ]).split("\n"),
    )
  }
${
    lines(
      1,
      perQuery((r) => [
        `if (own_${r} < queries) {`,
        ...storedLines(variant, `sum_${r}`, vectors, (v, sum) => `store_out(place_${r}, ${v}, ${sum});`)
          .map((line) => `  ${line}`),
        "}",
      ]),
    )
  }
}
`;
}

/** What a key adds to the gradient of query `r`. */
function querySumLines(
  r: number,
  vectors: number,
  valueVectors: number,
  manner: Attention["manner"],
): string[] {
  const query = `query_number_${r}`;
  const hidden = `is_hidden_${r}`;
  const seen = (value: string): string => hides(manner) ? `select(${value}, vec4<f32>(), ${hidden})` : value;
  const of = { dot: `dot_of_keys_${r}`, head: "head", query, key: "row", suffix: `_${r}` };
  return [
    ...dotLines(`dot_of_keys_${r}`, vectors, `query_${r}`, (v) => `key_${v}`),
    ...dotLines(`dot_of_values_${r}`, valueVectors, `gradient_${r}`, (v) => `value_${v}`),
    ...scoreLines(manner, of),
    `let weight_${r} = select(exp_of(score_${r} - log_sum_${r}), 0.0, ${hidden});`,
    `let of_weight_${r} = dot_of_values_${r}${manner.drops ? ` * kept(head, ${query}, row)` : ""};`,
    // A key that is not seen gives nothing, whatever its elements are.
    `let of_score_${r} = select(weight_${r} * (of_weight_${r} - product_sum_${r}) * scale, 0.0, ${hidden});`,
    ...each(
      vectors,
      (v) => `sum_${r}_${v} = fma(vec4<f32>(of_score_${r}), ${seen(`key_${v}`)}, sum_${r}_${v});`,
    ),
  ];
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

${mainWgsl(source.invocations, source.headCount, 1)}
  let own = first_own + local;
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
