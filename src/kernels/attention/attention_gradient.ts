import { type Dispatch, gridFor } from "../../gpu/dispatch.ts";
import { type KernelMemory, type KernelStep, UNIFORM_BYTES } from "../kernel_steps.ts";
import {
  type Attention,
  attentionConstants,
  type AttentionVariant,
  requireAttention,
} from "./attention_sizes.ts";
import { scoreLines } from "./attention_wgsl.ts";
import { listPages, packPages, planPages } from "./pages.ts";

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

/** What differs between the dispatches of a gradient. */
export interface GradientLaunch<B> {
  /** The rows that all invocations go through, of both tensors. */
  readonly rows: readonly B[];
  /** Heads of keys. */
  readonly headCount: number;
  /** Whether a head's rows are several dispatches, so that sums go on in the next one. */
  readonly isCut: boolean;
}

/** A gradient as the dispatches that it takes. */
export interface GradientPlan<B> {
  readonly rows: readonly { readonly input: B; readonly width: number; readonly label: string }[];
  readonly heads: number;
  readonly rowsOfHead: number;
  readonly attention: Attention;
  readonly variant: AttentionVariant;
  readonly memory: KernelMemory<B>;
  readonly dispatch: (launch: GradientLaunch<B>) => KernelStep<B>;
}

/** Packs the rows, where the variant has them in pages, and goes through them. */
export function gradientSteps<B>(
  { rows, heads, rowsOfHead, attention, variant, memory, dispatch }: GradientPlan<B>,
): KernelStep<B>[] {
  requireAttention(attention.sizes);
  if (variant === "tile") {
    return [dispatch({ rows: rows.map(({ input }) => input), headCount: heads, isCut: false })];
  }
  const pages = planPages(heads, rowsOfHead, Math.max(...rows.map(({ width }) => width)));
  const packed = rows.map(({ label }) => memory.scratch(`pages of ${label}`, pages.count * UNIFORM_BYTES));
  const packs = rows.flatMap(({ input, width }, index): KernelStep<B>[] => {
    const out = packed[index];
    return out === undefined ? [] : [{ dispatch: packPages({ input, out }, pages, width), writes: [out] }];
  });
  const launches = listPages(pages).map(({ index, headCount }) =>
    dispatch({
      rows: packed.map((all) => memory.slice(all, index * UNIFORM_BYTES, UNIFORM_BYTES)),
      headCount,
      isCut: pages.pagesPerHead > 1,
    })
  );
  return [...packs, ...launches];
}

/** A dispatch of a gradient over `heads` heads with so many tiles each, without its code. */
export function launchOf<B>(
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

/**
 * Lines that leave what a score gives, of the row `r` that an invocation has and the row that the kernel is at: its
 * `weight`, by what that is multiplied where weights are left out (`factor`), and the gradient of the score
 * (`of_score`). They go by `dot_of_keys` and `dot_of_values`.
 */
export function scoreGradientLines(
  r: number,
  manner: Attention["manner"],
  { query, key, logSum, productSum }: Readonly<Record<"query" | "key" | "logSum" | "productSum", string>>,
): string[] {
  const hidden = `is_hidden_${r}`;
  return [
    ...scoreLines(manner, { dot: `dot_of_keys_${r}`, head: "head", query, key, suffix: `_${r}` }),
    `let weight_${r} = select(exp_of(score_${r} - ${logSum}), 0.0, ${hidden});`,
    ...manner.drops ? [`let factor_${r} = kept(head, ${query}, ${key});`] : [],
    `let of_weight_${r} = dot_of_values_${r}${manner.drops ? ` * factor_${r}` : ""};`,
    `let of_score_${r} = select(weight_${r} * (of_weight_${r} - ${productSum}) * scale, 0.0, ${hidden});`,
  ];
}
