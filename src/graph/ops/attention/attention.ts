import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { attentionForward } from "../../../kernels/attention/attention_forward.ts";
import type { AttentionGradientInputs } from "../../../kernels/attention/attention_gradient.ts";
import { attentionKeyGradients } from "../../../kernels/attention/attention_key_gradient.ts";
import { attentionQueryGradient } from "../../../kernels/attention/attention_query_gradient.ts";
import {
  type Attention,
  type AttentionSizes,
  type AttentionVariant,
  MOST_WIDTH,
} from "../../../kernels/attention/attention_sizes.ts";
import { formatShape, type Shape } from "../../../tensor/shape.ts";
import { createValue } from "../../create_value.ts";
import {
  type Binding,
  item,
  type LoweringContext,
  type OpDefinition,
  type VariantChoices,
} from "../../op.ts";
import type { Value } from "../../value.ts";
import { mul } from "../arithmetic.ts";
import { memoryOf, stepsOf } from "../../kernel_steps.ts";
import { requireDType } from "../requirements.ts";
import { sum } from "../sum.ts";

/** Options of {@link attention}. */
export interface AttentionOptions {
  /** Whether query i sees keys 0 to i only. Default false. */
  readonly causal?: boolean | undefined;
  /**
   * What each query sees: u32, where 0 hides a key, or f32 that is added to the scores (-Infinity hides). Broadcasts to
   * `[batch, heads, queries, keys]`; no gradient flows into it.
   */
  readonly mask?: Value | undefined;
  /** What products of queries and keys are multiplied by. Default `1 / sqrt(width)`. */
  readonly scale?: number | undefined;
  /** The share of weights that is left out at random, the others being scaled up. Default 0: for evaluation. */
  readonly dropout?: number | undefined;
  /** Which random numbers `dropout` draws; ops of one program that have the same draw the same. Default 0. */
  readonly stream?: number | undefined;
}

/** Every option of {@link AttentionOptions}. */
export const ATTENTION_OPTIONS: OptionNames<AttentionOptions> = {
  causal: true,
  mask: true,
  scale: true,
  dropout: true,
  stream: true,
};

/** Attributes of the ops of an attention. */
export type AttentionAttributes = Attention & Readonly<Record<string, unknown>>;

/**
 * Scaled dot-product attention, `softmax(queries keysᵀ * scale) values`, f32: queries `[batch, heads, queries,
 * width]`, keys `[batch, keyHeads, keys, width]`, values `[batch, keyHeads, keys, valueWidth]`; the result is `[batch,
 * heads, queries, valueWidth]`. `keyHeads` divides `heads`: neighbouring query heads share keys and values (grouped
 * queries). One fused kernel each way, whose memory grows with the sequence and not with its square. A query that sees
 * no key gives zeros.
 *
 * Names and meanings are those of PyTorch's `scaled_dot_product_attention`.
 */
export function attention(queries: Value, keys: Value, values: Value, options: AttentionOptions = {}): Value {
  const { causal = false, mask, dropout = 0, stream = 0, ...given } = checkOptions(
    "attention()",
    options,
    ATTENTION_OPTIONS,
    "{ causal: true }",
  );
  const sizes = sizesOf(queries, keys, values);
  const scale = given.scale ?? 1 / Math.sqrt(sizes.width);
  if (!Number.isFinite(scale)) throw new RangeError(`attention: scale is a number, found ${scale}`);
  if (!(dropout >= 0 && dropout < 1)) {
    throw new RangeError(`attention: dropout is from 0 to below 1, found ${dropout}`);
  }
  const { batch, heads, queries: rows, valueWidth } = sizes;
  const attributes: AttentionAttributes = {
    sizes,
    manner: { isCausal: causal, mask: mannerOf(mask), drops: dropout > 0 },
    numbers: {
      scale,
      maskStrides: mask === undefined ? [0, 0, 0, 0] : maskStrides(mask, [batch, heads, rows, sizes.keys]),
      dropout,
      stream,
    },
  };
  const inputs = [queries, keys, values, ...mask === undefined ? [] : [mask]];
  return createValue(attentionOp, inputs, attributes, "f32", [batch, heads, rows, valueWidth]);
}

function sizesOf(queries: Value, keys: Value, values: Value): Attention["sizes"] {
  const named = Object.entries({ queries, keys, values });
  for (const [name, value] of named) {
    requireDType("attention", value, ["f32"]);
    if (value.shape.length === 4) continue;
    throw new TypeError(
      `attention: takes ${name} of shape [batch, heads, positions, width], found ${
        formatShape(value.shape)
      }; reshape them`,
    );
  }
  const [batch = 0, heads = 0, rows = 0, width = 0] = queries.shape;
  const [keyBatch, keyHeads = 0, columns = 0, keyWidth] = keys.shape;
  const [valueBatch, valueHeads, valueRows, valueWidth = 0] = values.shape;
  const fits = batch === keyBatch && batch === valueBatch && keyHeads === valueHeads &&
    columns === valueRows &&
    width === keyWidth && keyHeads > 0 && heads % keyHeads === 0;
  if (!fits) {
    const shapes = named.map(([name, { shape }]) => `${name} ${formatShape(shape)}`).join(", ");
    throw new TypeError(
      `attention: ${shapes} do not fit: batches are equal, keys and values have equal heads and positions, the heads of keys ` +
        "divide those of queries, and queries and keys have one width",
    );
  }
  for (const size of [width, valueWidth]) {
    if (size >= 1 && size <= MOST_WIDTH) continue;
    throw new TypeError(
      `attention: a head has 1 to ${MOST_WIDTH} elements, found ${size}; use other heads, or matmul and softmax`,
    );
  }
  return { batch, heads, keyHeads, queries: rows, keys: columns, width, valueWidth };
}

function mannerOf(mask: Value | undefined): Attention["manner"]["mask"] {
  if (mask === undefined) return "none";
  requireDType("attention", mask, ["u32", "f32"]);
  return mask.dtype === "u32" ? "shown" : "added";
}

/** Elements between neighbours of the mask along each axis of `shape`; 0 where it is repeated. */
function maskStrides(mask: Value, shape: Shape): [number, number, number, number] {
  const added = shape.length - mask.shape.length;
  const broadcasts = added >= 0 &&
    mask.shape.every((size, axis) => size === 1 || size === shape[axis + added]);
  if (!broadcasts) {
    throw new TypeError(
      `attention: a mask of shape ${formatShape(mask.shape)} does not broadcast to ${formatShape(shape)}, ` +
        "which is [batch, heads, queries, keys]; reshape it",
    );
  }
  let stride = 1;
  const strides = [0, 0, 0, 0] as [number, number, number, number];
  for (let axis = shape.length - 1; axis >= added; axis--) {
    const size = item(mask.shape, axis - added);
    if (size > 1) strides[axis] = stride;
    stride *= size;
  }
  return strides;
}

const ATTENTION_VARIANTS: VariantChoices<AttentionVariant> = {
  all: ["page", "tile"],
  cpu: "page",
  gpu: "tile",
};

interface Operands<T> {
  readonly queries: T;
  readonly keys: T;
  readonly values: T;
  readonly mask: T | undefined;
}

/** The operands of an attention, or of a gradient of it, which has others behind the first three. */
function operandsOf(value: Value<AttentionAttributes>): Operands<Value> {
  const { inputs, attributes: { manner } } = value;
  return {
    queries: item(inputs, 0),
    keys: item(inputs, 1),
    values: item(inputs, 2),
    mask: manner.mask === "none" ? undefined : item(inputs, inputs.length - 1),
  };
}

function boundOperands(
  value: Value<AttentionAttributes>,
  context: LoweringContext,
): Operands<Binding> & { readonly scalars: Binding } {
  const { queries, keys, values, mask } = operandsOf(value);
  return {
    queries: context.regionOf(queries),
    keys: context.regionOf(keys),
    values: context.regionOf(values),
    mask: mask && context.regionOf(mask),
    scalars: "scalars",
  };
}

/** What the gradient kernels read. */
function gradientInputs(
  value: Value<AttentionAttributes>,
  context: LoweringContext,
): AttentionGradientInputs<Binding> {
  const [outGradient, logSums, products] = [3, 4, 5].map((index) =>
    context.regionOf(item(value.inputs, index))
  );
  if (outGradient === undefined || logSums === undefined || products === undefined) {
    throw new TypeError("A gradient of an attention has six operands");
  }
  return { ...boundOperands(value, context), outGradient, logSums, products };
}

function noGradient(): never {
  throw new TypeError(
    "attention: its gradient has no gradient; compose it of matmul and softmax where gradients of gradients are wanted",
  );
}

/** Forward: one kernel, which leaves the logarithms of its sums for the way back. */
export const attentionOp: OpDefinition<AttentionAttributes> = {
  name: "attention",
  flops: ({ attributes: { sizes } }) => pairFlops(sizes, sizes.width + sizes.valueWidth),
  stream: ({ attributes: { manner, numbers } }) => manner.drops ? numbers.stream : undefined,
  gradient(value, outGrad) {
    const { queries, keys, values, mask } = operandsOf(value);
    const { attributes } = value;
    const { batch, heads, queries: rows } = attributes.sizes;
    const masks = mask === undefined ? [] : [mask];
    const seen = [value, queries, keys, ...masks];
    const logSums = createValue(attentionLogSumsOp, seen, attributes, "f32", [batch, heads, rows]);
    const products = sum(mul(value, outGrad), { axes: 3 });
    const inputs = [queries, keys, values, outGrad, logSums, products, ...masks];
    const ofKeys = createValue(attentionKeyGradientOp, inputs, attributes, "f32", keys.shape);
    return [
      createValue(attentionQueryGradientOp, inputs, attributes, "f32", queries.shape),
      ofKeys,
      createValue(attentionValueGradientOp, [ofKeys, ...inputs], attributes, "f32", values.shape),
      ...masks.map(() => undefined),
    ];
  },
  lowering: {
    kind: "kernel",
    precision: "factors",
    steps(value, context) {
      const { sizes } = value.attributes;
      const logSums = context.companionOf(value) ??
        context.scratch("logarithms of sums", 4 * sizes.batch * sizes.heads * sizes.queries);
      const bindings = { ...boundOperands(value, context), out: context.regionOf(value), logSums };
      const variant = context.variant("attention", ATTENTION_VARIANTS);
      return stepsOf(attentionForward<Binding>(bindings, value.attributes, variant, memoryOf(context)));
    },
  },
};

/**
 * The logarithms of each query's sum of exponentials, which the kernel of the first input leaves. The others are what
 * they are a function of.
 */
export const attentionLogSumsOp: OpDefinition<AttentionAttributes> = {
  name: "attentionLogSums",
  gradient: noGradient,
  lowering: { kind: "companion" },
};

/** The gradient of the queries. */
export const attentionQueryGradientOp: OpDefinition<AttentionAttributes> = {
  name: "attentionQueryGradient",
  flops: ({ attributes: { sizes } }) => pairFlops(sizes, 2 * sizes.width + sizes.valueWidth),
  gradient: noGradient,
  lowering: {
    kind: "kernel",
    precision: "factors",
    steps(value, context) {
      const variant = context.variant("attention", ATTENTION_VARIANTS);
      const inputs = gradientInputs(value, context);
      const out = context.regionOf(value);
      return stepsOf(
        attentionQueryGradient<Binding>(inputs, out, value.attributes, variant, memoryOf(context)),
      );
    },
  },
};

/** The gradient of the keys. Its kernel computes that of the values, too. */
export const attentionKeyGradientOp: OpDefinition<AttentionAttributes> = {
  name: "attentionKeyGradient",
  flops: ({ attributes: { sizes } }) => pairFlops(sizes, 2 * sizes.width + 2 * sizes.valueWidth),
  gradient: noGradient,
  lowering: {
    kind: "kernel",
    precision: "factors",
    steps(value, context) {
      const { batch, keyHeads, keys, valueWidth } = value.attributes.sizes;
      const variant = context.variant("attention", ATTENTION_VARIANTS);
      const inputs = gradientInputs(value, context);
      const out = {
        keys: context.regionOf(value),
        values: context.companionOf(value) ??
          context.scratch("gradient of values", 4 * batch * keyHeads * keys * valueWidth),
      };
      return stepsOf(
        attentionKeyGradients<Binding>(inputs, out, value.attributes, variant, memoryOf(context)),
      );
    },
  },
};

/** The gradient of the values, which the kernel of the first input leaves. The others are what it is a function of. */
export const attentionValueGradientOp: OpDefinition<AttentionAttributes> = {
  name: "attentionValueGradient",
  gradient: noGradient,
  lowering: { kind: "companion" },
};

/** Operations of so many products for each pair of a query and a key; those that a causal one leaves out count too. */
function pairFlops({ batch, heads, queries, keys }: AttentionSizes, products: number): number {
  return 2 * batch * heads * queries * keys * products;
}
