import type { KernelMemory, KernelStep } from "../kernel_steps.ts";
import { each, lines } from "../matmul/matmul_layout.ts";
import { zeros } from "./attention_forward.ts";
import {
  type AttentionGradientInputs,
  type GradientLaunch,
  gradientSteps,
  launchOf,
  scoreGradientLines,
} from "./attention_gradient.ts";
import { type Attention, type AttentionVariant, rowsEach, vectorsOf } from "./attention_sizes.ts";
import {
  attentionWgsl,
  begunLines,
  extraBindings,
  hides,
  LAUNCH_WGSL,
  loadedLines,
  loadRowWgsl,
  mainWgsl,
  storedLines,
  storeRowWgsl,
} from "./attention_wgsl.ts";
import { dotLines, type RowSource, rowSource } from "./row_source.ts";

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
    dispatch: (launch) => keyDispatch(launch, inputs, out, attention, variant),
  });
}

function keyDispatch<B>(
  { rows, headCount, isCut }: GradientLaunch<B>,
  inputs: AttentionGradientInputs<B>,
  out: { readonly keys: B; readonly values: B },
  attention: Attention,
  variant: AttentionVariant,
): KernelStep<B> {
  const { sizes } = attention;
  const { invocations } = rowSource(variant, sizes.width, sizes.valueWidth);
  const tiles = Math.ceil(sizes.keys / (invocations * keysEach(variant, sizes)));
  const written = [out.keys, out.values];
  const bindings = [...rows, inputs.keys, inputs.values, inputs.logSums, inputs.products, ...written];
  const dispatch = launchOf("keys and values", headCount, tiles, attention, [
    ...bindings,
    ...extraBindings(attention.manner, inputs),
  ]);
  return { dispatch: { ...dispatch, code: keyWgsl(attention, variant, isCut) }, writes: written };
}

/** Keys that one invocation has. Of four, the loop would no longer fit 32 KiB. */
function keysEach(variant: AttentionVariant, sizes: Attention["sizes"]): number {
  return rowsEach(variant, sizes, sizes.keys, 3);
}

function keyWgsl({ sizes, manner }: Attention, variant: AttentionVariant, isCut: boolean): string {
  const { width, valueWidth } = sizes;
  const source = rowSource(variant, width, valueWidth);
  const [vectors, valueVectors] = [vectorsOf(width), vectorsOf(valueWidth)];
  const own = keysEach(variant, sizes);
  const perKey = (line: (r: number) => string[]) => each(own, line);
  return `// An invocation has ${own} of the keys with their values, and goes through the queries of all heads that share them.
${LAUNCH_WGSL}
${source.declarations}
${loadRowWgsl("key", 2, width)}
${loadRowWgsl("value", 3, valueWidth)}
@group(0) @binding(4) var<storage, read> log_sums: array<f32>;
@group(0) @binding(5) var<storage, read> products: array<f32>;
${storeRowWgsl("key_out", 6, width)}
${storeRowWgsl("value_out", 7, valueWidth)}
${attentionWgsl(manner, 8)}

${mainWgsl(source.invocations, source.headCount, own)}
  let key_head = ${source.firstHead} + launch_head;
${lines(1, source.head("launch_head", "group * queries"))}
  // No query before the first key sees any of these. Those of other heads follow, which the loop leaves out.
  let begin = ${manner.isCausal ? "select(0u, first_own, group == 1u)" : "0u"};
${lines(1, perKey((r) => beginLines(r, vectors, valueVectors, variant, source, isCut)))}
${
    lines(
      1,
      source.loop("begin", "group * queries", [
        // A division takes a CPU adapter as long as some hundred products.
        "let query_number = select(row % queries, row, group == 1u);",
        "let head = select(key_head * group + row / queries, key_head, group == 1u);",
        // The same for all invocations: no key of theirs is seen by this query.
        ...manner.isCausal ? ["if (query_number < first_own) {", "  continue;", "}"] : [],
        ...each(vectors, (v) => `let query_${v} = ${source.first(v)};`),
        ...each(valueVectors, (v) => `let gradient_${v} = ${source.second(v)};`),
        "let of_query = head * queries + query_number;",
        "let log_sum = log_sums[of_query];",
        "let product_sum = products[of_query];",
        ...perKey((r) => keySumLines(r, vectors, valueVectors, manner)),
      ]).split("\n"),
    )
  }
${lines(1, perKey((r) => endLines(r, vectors, valueVectors, variant)))}
}
`;
}

/** Loads key `r` and its value, and where their sums begin. */
function beginLines(
  r: number,
  vectors: number,
  valueVectors: number,
  variant: AttentionVariant,
  source: RowSource,
  isCut: boolean,
): string[] {
  const goesOn = isCut ? source.goesOn : undefined;
  const begin = (sum: string, count: number, out: string): string[] =>
    begunLines(`${sum}_${r}`, count, (v) => `load_${out}(place_${r}, ${v})`, goesOn);
  return [
    `let own_${r} = first_own + ${r * source.invocations}u + local;`,
    // What is beyond the last key is computed for the last, and never written.
    `let key_number_${r} = min(own_${r}, keys - 1u);`,
    `let place_${r} = key_head * keys + key_number_${r};`,
    ...loadedLines(variant, `key_${r}`, vectors, (v) => `load_key(place_${r}, ${v}) * scale`),
    ...begin("key_sum", vectors, "key_out"),
    ...loadedLines(variant, `value_${r}`, valueVectors, (v) => `load_value(place_${r}, ${v})`),
    ...begin("value_sum", valueVectors, "value_out"),
  ];
}

/** What a query adds to the gradients of key `r` and its value. */
function keySumLines(
  r: number,
  vectors: number,
  valueVectors: number,
  manner: Attention["manner"],
): string[] {
  // A query that does not see the key gives nothing, whatever its elements are.
  const seen = (value: string): string =>
    hides(manner) ? `select(${value}, vec4<f32>(), is_hidden_${r})` : value;
  return [
    ...dotLines(`dot_of_keys_${r}`, vectors, `key_${r}`, (v) => `query_${v}`),
    ...dotLines(`dot_of_values_${r}`, valueVectors, `value_${r}`, (v) => `gradient_${v}`),
    ...scoreGradientLines(r, manner, {
      query: "query_number",
      key: `key_number_${r}`,
      logSum: "log_sum",
      productSum: "product_sum",
    }),
    `let share_${r} = weight_${r}${manner.drops ? ` * factor_${r}` : ""};`,
    ...each(
      valueVectors,
      (v) =>
        `value_sum_${r}_${v} = fma(vec4<f32>(share_${r}), ${seen(`gradient_${v}`)}, value_sum_${r}_${v});`,
    ),
    ...each(
      vectors,
      (v) => `key_sum_${r}_${v} = fma(vec4<f32>(of_score_${r}), ${seen(`query_${v}`)}, key_sum_${r}_${v});`,
    ),
  ];
}

function endLines(r: number, vectors: number, valueVectors: number, variant: AttentionVariant): string[] {
  const stored = (sum: string, count: number, out: string): string[] =>
    storedLines(
      variant,
      `${sum}_${r}`,
      count,
      (v, elements) => `store_${out}(place_${r}, ${v}, ${elements});`,
    )
      .map((line) => `  ${line}`);
  return [
    `if (own_${r} < keys) {`,
    ...stored("key_sum", vectors, "key_out"),
    ...stored("value_sum", valueVectors, "value_out"),
    "}",
  ];
}
