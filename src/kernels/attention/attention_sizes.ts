import { requireElements, requireSizes } from "../sizes.ts";

/** The sizes of an attention: queries `[batch, heads, queries, width]`, keys `[batch, keyHeads, keys, width]`. */
export interface AttentionSizes {
  readonly batch: number;
  readonly heads: number;
  /** Heads of keys and values; divides `heads`. Neighbouring query heads share one. */
  readonly keyHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
  /** Of values and of the result. */
  readonly valueWidth: number;
}

/** What of an attention changes its kernels. */
export interface AttentionManner {
  /** Whether a query sees only keys up to its own position. */
  readonly isCausal: boolean;
  /** How each query's view of keys is given: u32, where 0 hides a key, or f32 that is added to the scores. */
  readonly mask: "none" | "shown" | "added";
  /** Whether weights are left out at random. */
  readonly drops: boolean;
}

/**
 * `page`: rows that all invocations go through are bound as uniform buffers, a page of them a dispatch. For CPU
 * adapters, where a load from storage costs a bounds check and a branch. `tile`: the invocations of a workgroup copy a
 * tile of rows into workgroup memory, in turns. For GPUs.
 */
export type AttentionVariant = "page" | "tile";

/** Numbers of an attention. */
export interface AttentionNumbers {
  /** What products of queries and keys are multiplied by. */
  readonly scale: number;
  /** Elements of the mask between neighbours along batch, heads, queries and keys; 0 where it is repeated. */
  readonly maskStrides: readonly [number, number, number, number];
  /** The share of weights that is left out. */
  readonly dropout: number;
  /** The stream of random numbers that decides which. */
  readonly stream: number;
}

/** An attention as its kernels see it. */
export interface Attention {
  readonly sizes: AttentionSizes;
  readonly manner: AttentionManner;
  readonly numbers: AttentionNumbers;
}

/** Heads of more elements are not unrolled: that takes compilers for CPU adapters minutes. */
export const MOST_WIDTH = 128;

/** Checks sizes; `RangeError` for more elements than a shader can index. */
export function requireAttention(
  { batch, heads, keyHeads, queries, keys, width, valueWidth }: AttentionSizes,
): void {
  requireSizes("attention", { batch, heads, keyHeads, queries, keys, width, valueWidth });
  for (const row of [width, valueWidth]) {
    requireElements("attention", [batch, heads, queries, row]);
    requireElements("attention", [batch, keyHeads, keys, row]);
  }
}

/** Vectors that a row of `width` elements has. */
export function vectorsOf(width: number): number {
  return Math.ceil(width / 4);
}

/** The numbers as values of the `override` constants of `ATTENTION_WGSL`. */
export function attentionConstants({ sizes, manner, numbers }: Attention): Record<string, number> {
  const [batch, heads, queries, keys] = numbers.maskStrides;
  return {
    query_heads: sizes.heads,
    key_heads: sizes.batch * sizes.keyHeads,
    group: sizes.heads / sizes.keyHeads,
    queries: sizes.queries,
    keys: sizes.keys,
    scale: numbers.scale,
    mask_batch: batch,
    mask_head: heads,
    mask_query: queries,
    mask_key: keys,
    // Of 2^32 equally likely words.
    dropped_below: Math.min(2 ** 32 - 1, Math.round(numbers.dropout * 2 ** 32)),
    kept_scale: 1 / (1 - numbers.dropout),
    // Where nothing is dropped, the layers of a model share their kernels.
    stream: manner.drops ? numbers.stream : 0,
  };
}

/** Rows of a head that are worth a kernel of many each, which takes a CPU adapter seconds longer to compile. */
const ENOUGH_ROWS = 512;

/**
 * Rows that one invocation of the page variant has, `most` of them where they are short. They share what is loaded of
 * the rows that it goes through, which is what takes a CPU adapter longest; but its loop should fit the cache for
 * instructions. The bits are the same, however many they are.
 */
export function rowsEach(
  variant: AttentionVariant,
  { width, valueWidth }: AttentionSizes,
  rows: number,
  most: number,
): number {
  const vectors = Math.max(vectorsOf(width), vectorsOf(valueWidth));
  if (variant === "tile" || rows < ENOUGH_ROWS || vectors > 16) return 1;
  return vectors <= 8 ? most : Math.ceil(most / 2);
}
