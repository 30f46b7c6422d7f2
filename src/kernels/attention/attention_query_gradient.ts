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
import { dotLines, rowSource } from "./row_source.ts";

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
    dispatch: (launch) => queryDispatch(launch, inputs, out, attention, variant),
  });
}

function queryDispatch<B>(
  { rows, headCount, isCut }: GradientLaunch<B>,
  inputs: AttentionGradientInputs<B>,
  out: B,
  attention: Attention,
  variant: AttentionVariant,
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
  return { dispatch: { ...dispatch, code: queryWgsl(attention, variant, isCut) }, writes: [out] };
}

/** Queries that one invocation has. */
function queriesEach(variant: AttentionVariant, sizes: Attention["sizes"]): number {
  return rowsEach(variant, sizes, sizes.queries, 6);
}

function queryWgsl({ sizes, manner }: Attention, variant: AttentionVariant, isCut: boolean): string {
  const { width, valueWidth } = sizes;
  const source = rowSource(variant, width, valueWidth);
  const [vectors, valueVectors] = [vectorsOf(width), vectorsOf(valueWidth)];
  const goesOn = isCut ? source.goesOn : undefined;
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
        ...begunLines(`sum_${r}`, vectors, (v) => `load_out(place_${r}, ${v})`, goesOn),
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
  // A key that is not seen gives nothing, whatever its elements are.
  const seen = (value: string): string =>
    hides(manner) ? `select(${value}, vec4<f32>(), is_hidden_${r})` : value;
  return [
    ...dotLines(`dot_of_keys_${r}`, vectors, `query_${r}`, (v) => `key_${v}`),
    ...dotLines(`dot_of_values_${r}`, valueVectors, `gradient_${r}`, (v) => `value_${v}`),
    ...scoreGradientLines(r, manner, {
      query: `query_number_${r}`,
      key: "row",
      logSum: `log_sum_${r}`,
      productSum: `product_sum_${r}`,
    }),
    ...each(
      vectors,
      (v) => `sum_${r}_${v} = fma(vec4<f32>(of_score_${r}), ${seen(`key_${v}`)}, sum_${r}_${v});`,
    ),
  ];
}
