import { checkOptions, type OptionNames, pickOptions } from "../../base/options/options.ts";
import { add } from "../../graph/ops/arithmetic.ts";
import type { Value } from "../../graph/value.ts";
import type { Layer } from "../layer.ts";
import { callLayer } from "../layer_call.ts";
import type { Scope } from "../scope.ts";
import { gelu } from "./activations.ts";
import { dropout as dropoutLayer } from "./dropout.ts";
import { layerNorm } from "./layer_norm.ts";
import { linear, LINEAR_OPTIONS, type LinearOptions } from "./linear.ts";
import {
  type AttentionCallOptions,
  type AttentionLayer,
  MULTI_HEAD_ATTENTION_OPTIONS,
  multiHeadAttention,
  type MultiHeadAttentionOptions,
} from "./multi_head_attention.ts";
import { requireInput } from "./require_input.ts";

/** Options of {@link transformerBlock}; `dropout` is also that of both results before they are added. */
export interface TransformerBlockOptions extends MultiHeadAttentionOptions {
  /** Whether norms are before attention and feed-forward (`"pre"`) or after the sums (`"post"`). Default `"pre"`. */
  readonly norm?: "pre" | "post" | undefined;
  /** Width of the feed-forward part. Default `4 * width`. */
  readonly feedForward?: number | undefined;
  /** Of the feed-forward part. Default `gelu()`. */
  readonly activation?: Layer | undefined;
}

/** Every option of {@link TransformerBlockOptions}. */
export const TRANSFORMER_BLOCK_OPTIONS: OptionNames<TransformerBlockOptions> = {
  ...MULTI_HEAD_ATTENTION_OPTIONS,
  norm: true,
  feedForward: true,
  activation: true,
};

/**
 * Attention and a feed-forward part of two linear layers, each added to what it was given (Vaswani and others 2017;
 * norms before, Xiong and others 2020): `[batch, positions, width]` to the same shape. Its scopes are `norm1`,
 * `attention`, `norm2`, `linear1` and `linear2`, as PyTorch names all but the attention.
 */
export function transformerBlock(
  width: number,
  heads: number,
  options: TransformerBlockOptions = {},
): AttentionLayer {
  const { norm = "pre", feedForward = 4 * width, activation = gelu(), dropout = 0 } = checkOptions(
    "transformerBlock()",
    options,
    TRANSFORMER_BLOCK_OPTIONS,
    '{ causal: true, norm: "pre" }',
  );
  if (norm !== "pre" && norm !== "post") {
    throw new TypeError(`transformerBlock: norm is "pre" or "post", found ${JSON.stringify(norm)}`);
  }
  const weights = pickOptions<LinearOptions>(options, LINEAR_OPTIONS);
  const attend = multiHeadAttention(
    width,
    heads,
    pickOptions<MultiHeadAttentionOptions>(options, MULTI_HEAD_ATTENTION_OPTIONS),
  );
  const [norm1, norm2] = [layerNorm(width), layerNorm(width)] as const;
  const [widen, narrow] = [linear(width, feedForward, weights), linear(feedForward, width, weights)] as const;
  const drop = dropoutLayer(dropout);
  const name = `transformerBlock(${width}, ${heads})`;
  const blockOf = (x: Value, scope: Scope, given: AttentionCallOptions): Value => {
    requireInput(name, scope, x, ["batch", "positions", width]);
    const attended: Layer = (value) => drop(attend(value, scope.child("attention"), given), scope);
    const fed: Layer = (value) => {
      const wide = activation(widen(value, scope.child("linear1")), scope.child("activation"));
      return drop(narrow(wide, scope.child("linear2")), scope);
    };
    const first = scope.child("norm1");
    const second = scope.child("norm2");
    if (norm === "pre") {
      const middle = add(x, attended(norm1(x, first), scope));
      return add(middle, fed(norm2(middle, second), scope));
    }
    const middle = norm1(add(x, attended(x, scope)), first);
    return norm2(add(middle, fed(middle, scope)), second);
  };
  const block: AttentionLayer = (x, outer, given = {}) => {
    const scope = outer.callOf(block);
    return callLayer(name, x, scope, () => blockOf(x, scope, given));
  };
  return block;
}
