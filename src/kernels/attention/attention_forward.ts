import { gridFor } from "../../gpu/dispatch.ts";
import { fill } from "../elementwise/fill.ts";
import { type KernelMemory, type KernelStep, UNIFORM_BYTES } from "../kernel_steps.ts";
import { each, lines } from "../matmul/matmul_layout.ts";
import {
  type Attention,
  attentionConstants,
  type AttentionVariant,
  requireAttention,
  rowsEach,
  vectorsOf,
} from "./attention_sizes.ts";
import {
  attentionWgsl,
  begunLines,
  extraBindings,
  hides,
  LAUNCH_WGSL,
  loadedLines,
  loadRowWgsl,
  mainWgsl,
  scoreLines,
  storedLines,
  storeRowWgsl,
} from "./attention_wgsl.ts";
import { listPages, packPages, planPages } from "./pages.ts";
import { dotLines, rowSource } from "./row_source.ts";

/** What the forward pass binds. */
export interface AttentionBindings<B> {
  readonly queries: B;
  readonly keys: B;
  readonly values: B;
  readonly mask?: B | undefined;
  readonly scalars?: B | undefined;
  readonly out: B;
  /** The logarithm of each query's sum of exponentials, `[batch, heads, queries]`. */
  readonly logSums: B;
}

/** Queries that one invocation has, two of them at least where they are short. */
function queriesEach(variant: AttentionVariant, sizes: Attention["sizes"]): number {
  const isShort = Math.max(vectorsOf(sizes.width), vectorsOf(sizes.valueWidth)) <= 16;
  return Math.max(variant === "page" && isShort ? 2 : 1, rowsEach(variant, sizes, sizes.queries, 8));
}

/**
 * `softmax(queries keysᵀ * scale + mask) values`, f32, in one pass over the keys: the largest score so far is kept,
 * and what was summed up is scaled when it grows (Milakov and Gimelshein, 2018; Dao et al., "FlashAttention", 2022). A
 * query without a key gives zeros. Sums go over keys in their order, so equal inputs give equal bits.
 */
export function attentionForward<B>(
  bindings: AttentionBindings<B>,
  attention: Attention,
  variant: AttentionVariant,
  memory: KernelMemory<B>,
): KernelStep<B>[] {
  requireAttention(attention.sizes);
  const { batch, heads, queries, keys, valueWidth } = attention.sizes;
  const rows = batch * heads * queries;
  if (rows === 0) return [];
  if (keys === 0) return [zeros(bindings.out, rows * valueWidth), zeros(bindings.logSums, rows)];
  return variant === "tile"
    ? [
      forwardDispatch([bindings.keys, bindings.values], bindings, attention, variant, {
        headCount: batch * attention.sizes.keyHeads,
      }),
    ]
    : pagedForward(bindings, attention, memory);
}

/** What sums of nothing are. */
export function zeros<B>(out: B, count: number): KernelStep<B> {
  return { dispatch: fill({ out }, { count, value: 0 }), writes: [out] };
}

function pagedForward<B>(
  bindings: AttentionBindings<B>,
  attention: Attention,
  memory: KernelMemory<B>,
): KernelStep<B>[] {
  const { batch, keyHeads, heads, queries, keys, width, valueWidth } = attention.sizes;
  const pages = planPages(batch * keyHeads, keys, Math.max(width, valueWidth));
  const packed = [
    memory.scratch("pages of keys", pages.count * UNIFORM_BYTES),
    memory.scratch("pages of values", pages.count * UNIFORM_BYTES),
  ] as const;
  const state = pages.pagesPerHead > 1
    ? memory.scratch("running sums", 2 * 4 * batch * heads * queries)
    : undefined;
  const steps: KernelStep<B>[] = [
    { dispatch: packPages({ input: bindings.keys, out: packed[0] }, pages, width), writes: [packed[0]] },
    {
      dispatch: packPages({ input: bindings.values, out: packed[1] }, pages, valueWidth),
      writes: [packed[1]],
    },
  ];
  for (const page of listPages(pages)) {
    const rows = packed.map((all) => memory.slice(all, page.index * UNIFORM_BYTES, UNIFORM_BYTES));
    steps.push(forwardDispatch(rows, bindings, attention, "page", { headCount: page.headCount, state }));
  }
  return steps;
}

/** How many heads of keys a dispatch has, and where sums stand that go on in the next one. */
interface Launch<B> {
  readonly headCount: number;
  readonly state?: B | undefined;
}

function forwardDispatch<B>(
  rows: readonly B[],
  { queries, mask, scalars, out, logSums }: AttentionBindings<B>,
  attention: Attention,
  variant: AttentionVariant,
  { headCount, state }: Launch<B>,
): KernelStep<B> {
  const { sizes, manner } = attention;
  const source = rowSource(variant, sizes.width, sizes.valueWidth);
  const tiles = Math.ceil(sizes.queries / (source.invocations * queriesEach(variant, sizes)));
  const heads = headCount * (sizes.heads / sizes.keyHeads);
  const written = [out, logSums, ...state === undefined ? [] : [state]];
  return {
    dispatch: {
      label: `attention of ${heads} heads, ${sizes.queries} queries, ${sizes.keys} keys, ${variant}`,
      code: forwardWgsl(attention, variant, state !== undefined),
      constants: {
        ...attentionConstants(attention),
        tiles,
        ...state === undefined ? {} : { all_queries: sizes.batch * sizes.heads * sizes.queries },
      },
      bindings: [...rows, queries, ...written, ...extraBindings(manner, { mask, scalars })],
      workgroups: gridFor(heads * tiles),
    },
    writes: written,
  };
}

function forwardWgsl(
  { sizes, manner }: Attention,
  variant: AttentionVariant,
  isCut: boolean,
): string {
  const { width, valueWidth } = sizes;
  const source = rowSource(variant, width, valueWidth);
  const [keyVectors, valueVectors] = [vectorsOf(width), vectorsOf(valueWidth)];
  const own = queriesEach(variant, sizes);
  // What is not seen gives nothing, whatever it is.
  const seen = (value: string, r: number): string =>
    hides(manner) ? `select(${value}, vec4<f32>(), is_hidden_${r})` : value;
  const perQuery = (line: (r: number) => string | string[]) => each(own, line);
  return `// An invocation has ${own} of the queries, and goes through the keys that they see.
${LAUNCH_WGSL}
${isCut ? "override all_queries: u32;\n" : ""}
${source.declarations}
${loadRowWgsl("query", 2, width)}
${storeRowWgsl("out", 3, valueWidth)}
@group(0) @binding(4) var<storage, read_write> log_sums: array<f32>;
${
    isCut
      ? "// The largest score and the sum of exponentials of each query, so far.\n@group(0) @binding(5) var<storage, read_write> state: array<f32>;\n"
      : ""
  }
${attentionWgsl(manner, isCut ? 6 : 5)}

${mainWgsl(source.invocations, `${source.headCount} * group`, own)}
  let head = ${source.firstHead} * group + launch_head;
${lines(1, source.head("(launch_head / group)", "keys"))}
  let end = ${manner.isCausal ? `min(keys, first_own + ${source.invocations * own}u)` : "keys"};
${
    lines(
      1,
      perQuery((r) => [
        `let query_${r} = first_own + ${r * source.invocations}u + local;`,
        // What is beyond the last query is computed for the last, and never written.
        `let place_${r} = head * queries + min(query_${r}, queries - 1u);`,
        ...loadedLines(variant, `query_${r}`, keyVectors, (v) => `load_query(place_${r}, ${v}) * scale`),
        ...startLines(r, valueVectors, isCut ? source.goesOn : undefined),
      ]),
    )
  }
${
    lines(
      1,
      source.loop("0u", "end", [
        ...perQuery((r) => weightLines(r, keyVectors, manner, source.first)),
        ...each(valueVectors, (v) => [
          `let value_${v} = ${source.second(v)};`,
          ...perQuery((r) =>
            `sum_${r}_${v} = fma(vec4<f32>(share_${r}), ${seen(`value_${v}`, r)}, sum_${r}_${v} * kept_${r});`
          ),
        ]),
      ]).split("\n"),
    )
  }
${lines(1, perQuery((r) => endLines(variant, r, valueVectors, isCut)))}
}
`;
}

/** Where a query's sums begin: at nothing, or where the dispatch before left them. */
function startLines(
  r: number,
  valueVectors: number,
  goesOn: string | undefined,
): string[] {
  return [
    `var largest_${r} = -3.0e38;`,
    `var total_${r} = 0.0;`,
    ...goesOn === undefined ? [] : [
      `if ${goesOn} {`,
      `  largest_${r} = state[place_${r}];`,
      `  total_${r} = state[all_queries + place_${r}];`,
      "}",
    ],
    ...begunLines(`sum_${r}`, valueVectors, (v) => `load_out(place_${r}, ${v})`, goesOn),
  ];
}

/** The weight of a key, before it is divided by the sum of all, and what the sums so far are scaled by. */
function weightLines(
  r: number,
  keyVectors: number,
  manner: Attention["manner"],
  key: (vector: number) => string,
): string[] {
  const place = { head: "head", query: `min(query_${r}, queries - 1u)`, key: "row", suffix: `_${r}` };
  return [
    ...dotLines(`dot_${r}`, keyVectors, `query_${r}`, key),
    ...scoreLines(manner, { ...place, dot: `dot_${r}` }),
    `let next_${r} = select(max(largest_${r}, score_${r}), largest_${r}, is_hidden_${r});`,
    `let kept_${r} = exp_of(largest_${r} - next_${r});`,
    `let weight_${r} = select(exp_of(score_${r} - next_${r}), 0.0, is_hidden_${r});`,
    `largest_${r} = next_${r};`,
    `total_${r} = total_${r} * kept_${r} + weight_${r};`,
    `let share_${r} = weight_${r}${manner.drops ? ` * kept(head, ${place.query}, row)` : ""};`,
  ];
}

function endLines(variant: AttentionVariant, r: number, valueVectors: number, isCut: boolean): string[] {
  const finish = [
    ...storedLines(
      variant,
      `sum_${r}`,
      valueVectors,
      (v, sum) => `store_out(place_${r}, ${v}, select(${sum} / total_${r}, vec4<f32>(), total_${r} == 0.0));`,
    ),
    `log_sums[place_${r}] = select(largest_${r} + log(total_${r}), 0.0, total_${r} == 0.0);`,
  ];
  const keep = [
    `state[place_${r}] = largest_${r};`,
    `state[all_queries + place_${r}] = total_${r};`,
    ...storedLines(variant, `sum_${r}`, valueVectors, (v, sum) => `store_out(place_${r}, ${v}, ${sum});`),
  ];
  const indented = (text: readonly string[]) => text.map((line) => `  ${line}`);
  const ends = isCut
    ? ["if (rows_end == keys) {", ...indented(finish), "} else {", ...indented(keep), "}"]
    : finish;
  return [`if (query_${r} < queries) {`, ...indented(ends), "}"];
}
