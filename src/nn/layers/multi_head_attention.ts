import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { attention } from "../../graph/ops/attention/attention.ts";
import { cachedAttention } from "../../graph/ops/attention/cached_attention.ts";
import {
  ROTARY_EMBEDDING_OPTIONS,
  rotaryEmbedding,
  rotaryEmbeddingBy,
  type RotaryEmbeddingOptions,
} from "../../graph/ops/norm/rotary_embedding.ts";
import { reshape, transpose } from "../../graph/ops/views.ts";
import type { Value } from "../../graph/value.ts";
import { formatShape } from "../../tensor/shape.ts";
import type { DecodingCache } from "../decoding_cache.ts";
import { callLayer } from "../layer_call.ts";
import type { Scope } from "../scope.ts";
import { linear, LINEAR_OPTIONS, type LinearOptions } from "./linear.ts";
import { placeOf, requireInput, requireSize } from "./require_input.ts";

/** Options of {@link multiHeadAttention}; those of `linear` are for its four projections. */
export interface MultiHeadAttentionOptions extends LinearOptions {
  /** Whether a position sees itself and those before it only. Default false. */
  readonly causal?: boolean | undefined;
  /** Heads of keys and values; neighbouring heads of queries share one. Divides `heads`, the default. */
  readonly keyHeads?: number | undefined;
  /** The share of attention weights that training leaves out at random. Default 0. */
  readonly dropout?: number | undefined;
  /**
   * Whether the heads of queries and keys are turned by their positions, or how; see `ops.rotaryEmbedding`. Only for
   * attention of the input to itself. Default false.
   */
  readonly rotary?: boolean | RotaryEmbeddingOptions | undefined;
}

/** Every option of {@link MultiHeadAttentionOptions}. */
export const MULTI_HEAD_ATTENTION_OPTIONS: OptionNames<MultiHeadAttentionOptions> = {
  ...LINEAR_OPTIONS,
  causal: true,
  keyHeads: true,
  dropout: true,
  rotary: true,
};

/** What one call of an {@link AttentionLayer} may be given besides its input. */
export interface AttentionCallOptions {
  /** Where keys and values come from: `[batch, positions, width]`. Default: the input, which attends to itself. */
  readonly context?: Value | undefined;
  /** u32 `[batch, keys]`: 0 where a position of the keys is padding, which nobody sees. */
  readonly paddingMask?: Value | undefined;
  /** As `mask` of `ops.attention`, instead of a padding mask; it broadcasts to `[batch, heads, queries, keys]`. */
  readonly mask?: Value | undefined;
}

/** Every option of {@link AttentionCallOptions}. */
export const ATTENTION_CALL_OPTIONS: OptionNames<AttentionCallOptions> = {
  context: true,
  paddingMask: true,
  mask: true,
};

/** A layer that may be told, where it is called, what to attend to. */
export type AttentionLayer = (x: Value, scope: Scope, options?: AttentionCallOptions) => Value;

/**
 * Attention of `heads` heads (Vaswani and others 2017): `[batch, positions, width]` to the same shape. Its scopes
 * `query`, `key`, `value` and `output` have the parameters of a `linear`; keys and values have `width / heads`
 * elements for each of `keyHeads`. One fused kernel each way.
 *
 * @example
 * ```ts
 * const attend = nn.multiHeadAttention(64, 4);
 * const attendTo = (context: ReturnType<nn.Layer>): nn.Layer => (x, scope) => attend(x, scope, { context });
 * ```
 */
export function multiHeadAttention(
  width: number,
  heads: number,
  options: MultiHeadAttentionOptions = {},
): AttentionLayer {
  const { causal = false, keyHeads = heads, dropout = 0, rotary = false, ...weights } = checkOptions(
    "multiHeadAttention()",
    options,
    MULTI_HEAD_ATTENTION_OPTIONS,
    "{ causal: true }",
  );
  const name = `multiHeadAttention(${width}, ${heads})`;
  requireHeads(name, width, heads, keyHeads);
  if (!(dropout >= 0 && dropout < 1)) {
    throw new RangeError(`${name}: dropout is from 0 to below 1, found ${dropout}`);
  }
  const headWidth = width / heads;
  const turned = turning(name, rotary, headWidth);
  const query = linear(width, width, weights);
  const key = linear(width, keyHeads * headWidth, weights);
  const value = linear(width, keyHeads * headWidth, weights);
  const output = linear(width, width, weights);
  const attended = (x: Value, scope: Scope, given: AttentionCallOptions): Value => {
    checkOptions(`${name}'s call`, given, ATTENTION_CALL_OPTIONS, "{ context }");
    const { context = x } = given;
    requireInput(name, scope, x, ["batch", "positions", width]);
    requireInput(`${name}'s context`, scope, context, [x.shape[0] ?? 0, "positions", width]);
    if (rotary !== false && given.context !== undefined) {
      throw new TypeError(
        `${
          placeOf(name, scope)
        }: rotary positions are for attention of the input to itself, found a context; ` +
          "leave out one of them",
      );
    }
    const mask = maskOf(name, scope, context, given);
    // Taken in evaluation too, so that the layers behind have the same streams in both.
    const stream = scope.randomStream();
    const cache = causal && given.context === undefined && mask === undefined ? scope.cache : undefined;
    const parts = [
      turned(headsOf(query(x, scope.child("query")), heads), cache),
      turned(headsOf(key(context, scope.child("key")), keyHeads), cache),
      headsOf(value(context, scope.child("value")), keyHeads),
    ] as const;
    const result = cache === undefined
      ? attention(...parts, { causal, mask, stream, dropout: scope.isTraining ? dropout : 0 })
      : attentionOver(cache, ...parts);
    const beside = result.shape[2] === 1 ? result : transpose(result, [0, 2, 1, 3]);
    return output(reshape(beside, x.shape), scope.child("output"));
  };
  const attend: AttentionLayer = (x, outer, given = {}) => {
    const scope = outer.callOf(attend);
    return callLayer(name, x, scope, () => attended(x, scope, given));
  };
  return attend;
}

function requireHeads(name: string, width: number, heads: number, keyHeads: number): void {
  requireSize(name, "the width", width);
  requireSize(name, "the number of heads", heads);
  requireSize(name, "the number of key heads", keyHeads);
  if (width % heads === 0 && heads % keyHeads === 0) return;
  throw new RangeError(
    `${name}: the heads divide the width and the key heads divide the heads, found width ${width}, ` +
      `${heads} heads and ${keyHeads} key heads`,
  );
}

/** What turns `[batch, heads, positions, headWidth]` by its positions, if anything does. */
function turning(
  name: string,
  rotary: boolean | RotaryEmbeddingOptions,
  headWidth: number,
): (heads: Value, cache: DecodingCache | undefined) => Value {
  if (rotary === false) return (heads) => heads;
  const options = rotary === true ? {} : rotary;
  checkOptions(`${name}'s rotary`, options, ROTARY_EMBEDDING_OPTIONS, "{ base: 500_000 }");
  if (options.width === undefined && headWidth % 2 !== 0) {
    throw new RangeError(
      `${name}: rotary positions turn pairs, so the width of a head is even, found ${headWidth}; give another number ` +
        "of heads, or rotary: { width }",
    );
  }
  return (heads, cache) =>
    cache === undefined
      ? rotaryEmbedding(heads, options)
      : rotaryEmbeddingBy(heads, options, ({ key, table }) => cache.rowsOf(key, table));
}

/** Causal attention of `[batch, heads, positions, width]` to what is kept of the positions before, and to their own. */
function attentionOver(
  cache: DecodingCache,
  queries: Value,
  ...parts: readonly [keys: Value, values: Value]
): Value {
  const [keys, values] = parts.map(byPosition) as [Value, Value];
  const [pastKeys, pastValues] = [cache.keepRows(keys), cache.keepRows(values)];
  return cachedAttention({ queries, keys, values, pastKeys, pastValues, positions: cache.positions });
}

/** `[batch, positions, heads * width]` as `[batch, heads, positions, width]`. */
function headsOf(x: Value, heads: number): Value {
  const [batch = 0, positions = 0, width = 0] = x.shape;
  // Of one position nothing moves.
  if (positions === 1) return reshape(x, [batch, heads, positions, width / heads]);
  return transpose(reshape(x, [batch, positions, heads, width / heads]), [0, 2, 1, 3]);
}

/** `[batch, heads, positions, width]` as `[positions, batch, heads, width]`. */
function byPosition(part: Value): Value {
  const [batch = 0, heads = 0, positions = 0, width = 0] = part.shape;
  if (positions === 1) return reshape(part, [positions, batch, heads, width]);
  return transpose(part, [2, 0, 1, 3]);
}

function maskOf(
  name: string,
  scope: Scope,
  context: Value,
  { mask, paddingMask }: AttentionCallOptions,
): Value | undefined {
  if (paddingMask === undefined) return mask;
  if (mask !== undefined) {
    throw new TypeError(
      `${placeOf(name, scope)}: takes mask or paddingMask, found both; combine them to a mask`,
    );
  }
  const [batch = 0, keys = 0] = context.shape;
  if (paddingMask.dtype !== "u32") {
    throw new TypeError(
      `${placeOf(name, scope)}: a padding mask is u32, found ${paddingMask.dtype}; cast it`,
    );
  }
  if (paddingMask.shape.length !== 2 || paddingMask.shape[0] !== batch || paddingMask.shape[1] !== keys) {
    throw new TypeError(
      `${placeOf(name, scope)}: a padding mask is [batch, keys], here [${batch}, ${keys}], found ` +
        formatShape(paddingMask.shape),
    );
  }
  return reshape(paddingMask, [batch, 1, 1, keys]);
}
