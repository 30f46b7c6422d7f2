import {
  cachedAttention as launchCached,
  type CachedAttentionSizes,
} from "../../../kernels/attention/cached_attention.ts";
import { MOST_WIDTH } from "../../../kernels/attention/attention_sizes.ts";
import { formatShape, type Shape, shapesEqual } from "../../../tensor/shape.ts";
import { createValue } from "../../create_value.ts";
import { type Binding, item, type OpDefinition } from "../../op.ts";
import type { Value } from "../../value.ts";
import { requireDType } from "../requirements.ts";

/** Attributes of an attention over a cache. */
export type CachedAttentionAttributes = { readonly sizes: CachedAttentionSizes; readonly scale: number };

/** What an attention over a cache is given, all f32 but the positions. */
export interface CachedAttentionInputs {
  /** `[batch, heads, positions, width]`. */
  readonly queries: Value;
  /** `[positions, batch, keyHeads, width]`. */
  readonly keys: Value;
  /** `[positions, batch, keyHeads, valueWidth]`. */
  readonly values: Value;
  /** Keys of the positions before, `[room, batch, keyHeads, width]`. */
  readonly pastKeys: Value;
  /** Values of the positions before, `[room, batch, keyHeads, valueWidth]`. */
  readonly pastValues: Value;
  /** u32 `[positions]`, one after the other; the first says how many there were before. */
  readonly positions: Value;
}

/**
 * Causal `attention` of positions that follow others, of which a cache has the keys and values: `[batch, heads,
 * positions, valueWidth]`. It has no gradient, since nothing trains that way.
 */
export function cachedAttention(inputs: CachedAttentionInputs, scale?: number): Value {
  const { queries, keys, values, pastKeys, pastValues, positions } = inputs;
  const [batch = 0, heads = 0, count = 0, width = 0] = queries.shape;
  const [room = 0, , keyHeads = 0] = pastKeys.shape;
  const valueWidth = values.shape.at(-1) ?? 0;
  const expected: [string, Value, Shape][] = [
    ["queries", queries, [batch, heads, count, width]],
    ["keys", keys, [count, batch, keyHeads, width]],
    ["values", values, [count, batch, keyHeads, valueWidth]],
    ["pastKeys", pastKeys, [room, batch, keyHeads, width]],
    ["pastValues", pastValues, [room, batch, keyHeads, valueWidth]],
    ["positions", positions, [count]],
  ];
  for (const [name, value, shape] of expected) {
    requireDType("cachedAttention", value, [name === "positions" ? "u32" : "f32"]);
    if (shapesEqual(value.shape, shape)) continue;
    throw new TypeError(
      `cachedAttention: takes ${name} of shape ${formatShape(shape)}, found ${formatShape(value.shape)}`,
    );
  }
  if (
    keyHeads === 0 || heads % keyHeads !== 0 || Math.max(width, valueWidth) > MOST_WIDTH ||
    width * valueWidth === 0
  ) {
    throw new TypeError(
      `cachedAttention: ${keyHeads} heads of keys divide the ${heads} of queries, and a head has 1 to ${MOST_WIDTH} ` +
        `elements, found ${width} and ${valueWidth}`,
    );
  }
  const attributes = {
    sizes: { batch, heads, keyHeads, queries: count, room, width, valueWidth },
    scale: scale ?? 1 / Math.sqrt(width),
  };
  const given = [queries, keys, values, pastKeys, pastValues, positions];
  return createValue(cachedAttentionOp, given, attributes, "f32", [batch, heads, count, valueWidth]);
}

/** One kernel, which reads the cache where it is. */
export const cachedAttentionOp: OpDefinition<CachedAttentionAttributes> = {
  name: "cachedAttention",
  flops: ({ attributes: { sizes: { batch, heads, queries, room, width, valueWidth } } }) =>
    2 * batch * heads * queries * room * (width + valueWidth),
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const at = (index: number): Binding => context.regionOf(item(value.inputs, index));
      const out = context.regionOf(value);
      const bindings = {
        queries: at(0),
        keys: at(1),
        values: at(2),
        pastKeys: at(3),
        pastValues: at(4),
        positions: at(5),
        out,
      };
      const { sizes, scale } = value.attributes;
      return [{ dispatch: launchCached<Binding>(bindings, sizes, scale), writes: [out] }];
    },
  },
};
