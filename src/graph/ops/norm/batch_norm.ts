import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import type { ElementwiseFunction } from "../../../kernels/elementwise/expression.ts";
import { channelStatistics } from "../../../kernels/norm/channel_statistics.ts";
import type { ChannelSizes } from "../../../kernels/norm/channel_plan.ts";
import { elementCount, formatShape } from "../../../tensor/shape.ts";
import { createValue } from "../../create_value.ts";
import { memoryOf, stepsOf } from "../../kernel_steps.ts";
import { type Binding, item, type OpDefinition } from "../../op.ts";
import type { Value } from "../../value.ts";
import { add, mul, sub } from "../arithmetic.ts";
import { concat } from "../movement/concat.ts";
import { slice } from "../movement/slice.ts";
import { requireDType } from "../requirements.ts";
import { rsqrt } from "../transcendental.ts";
import { reshape } from "../views.ts";
import { channelGradients } from "./channel_sums_op.ts";
import { requireEpsilon } from "./row_norms.ts";

/** Mean and variance of each channel. */
export interface ChannelStatistics {
  /** f32 `[channels]`. */
  readonly mean: Value;
  /** f32 `[channels]`: the mean of squared differences from the mean. */
  readonly variance: Value;
}

/** Options of {@link batchNorm}. */
export interface BatchNormOpOptions {
  /** By what is normalised. Default: the statistics of the batch itself, through which gradients flow. */
  readonly statistics?: ChannelStatistics | undefined;
  /** By what each channel is multiplied, `[channels]`. */
  readonly weight?: Value | undefined;
  /** What is added to each channel, `[channels]`. */
  readonly bias?: Value | undefined;
  /** Added to the variance. Default 1e-5. */
  readonly epsilon?: number | undefined;
}

/** Every option of {@link BatchNormOpOptions}. */
export const BATCH_NORM_OP_OPTIONS: OptionNames<BatchNormOpOptions> = {
  statistics: true,
  weight: true,
  bias: true,
  epsilon: true,
};

/**
 * Mean and variance of each channel of `value`, f32 `[batch, channels, …]`, over all other axes. The variance is the
 * mean of squared differences, not the unbiased estimate. One kernel for both, whose sums have a fixed order: the mean
 * of equal elements is exact and their variance 0; otherwise the variance is off by at most 2e-6 of itself. A NaN or an
 * infinity makes both NaN.
 */
export function batchStatistics(value: Value): ChannelStatistics {
  const sizes = channelsOf("batchStatistics", value);
  const both = createValue(batchStatisticsOp, [value], sizes, "f32", [2, sizes.channels]);
  const of = (index: number): Value =>
    reshape(slice(both, { start: index, end: index + 1 }), [sizes.channels]);
  return { mean: of(0), variance: of(1) };
}

/**
 * `(x - mean) / sqrt(variance + epsilon) * weight + bias` for each channel of `value`, f32 `[batch, channels, …]`,
 * PyTorch's `batch_norm`: by the statistics of the batch, or by those that are given. The statistics are a kernel, and
 * all else is elementwise and fused with what is around it; the gradients of weight, bias and statistics come from one
 * more kernel.
 */
export function batchNorm(value: Value, options: BatchNormOpOptions = {}): Value {
  const { statistics = batchStatistics(value), weight, bias, epsilon = 1e-5 } = checkOptions(
    "batchNorm()",
    options,
    BATCH_NORM_OP_OPTIONS,
    "{ epsilon: 1e-5 }",
  );
  const sizes = channelsOf("batchNorm", value);
  requireEpsilon("batchNorm", epsilon);
  const { mean, variance } = statistics;
  const given = { mean, variance, weight, bias };
  const perChannel = Object.entries(given).flatMap(([name, each]) => {
    if (each === undefined) return [];
    requireDType("batchNorm", each, ["f32"]);
    if (each.shape.length !== 1 || each.shape[0] !== sizes.channels) {
      throw new TypeError(
        `batchNorm: the ${name} of ${formatShape(value.shape)} has the shape [${sizes.channels}], found ` +
          formatShape(each.shape),
      );
    }
    return [alongChannels(each, value)];
  });
  const attributes = { epsilon, hasWeight: weight !== undefined, hasBias: bias !== undefined };
  return createValue(batchNormOp, [value, ...perChannel], attributes, "f32", value.shape);
}

function channelsOf(op: string, value: Value): ChannelSizes {
  requireDType(op, value, ["f32"]);
  const [batch, channels] = value.shape;
  if (batch === undefined || channels === undefined) {
    throw new TypeError(`${op}: takes [batch, channels, …], found ${formatShape(value.shape)}`);
  }
  return { batch, channels, inner: elementCount(value.shape.slice(2)) };
}

/** One for each channel, in the shape that broadcasts to that of `value`. */
function alongChannels(each: Value, { shape }: Value): Value {
  return reshape(each, [each.shape[0] ?? 0, ...shape.slice(2).map(() => 1)]);
}

/** `[2, channels]`: mean and variance. */
export const batchStatisticsOp: OpDefinition<ChannelSizes> = {
  name: "batchStatistics",
  gradient(value, outGrad) {
    const input = item(value.inputs, 0);
    const { batch, channels, inner } = value.attributes;
    const count = batch * inner;
    const of = (statistics: Value, index: number): Value =>
      alongChannels(reshape(slice(statistics, { start: index, end: index + 1 }), [channels]), input);
    const ofVariance = mul(mul(of(outGrad, 1), 2 / count), sub(input, of(value, 0)));
    return [add(mul(of(outGrad, 0), 1 / count), ofVariance)];
  },
  lowering: {
    kind: "kernel",
    precision: "sums",
    steps(value, context) {
      const bindings = { input: context.regionOf(item(value.inputs, 0)), out: context.regionOf(value) };
      const { batch, channels, inner } = value.attributes;
      return stepsOf(channelStatistics<Binding>(bindings, { batch, channels, inner }, memoryOf(context)));
    },
  },
};

/** Attributes of `batchNorm`: of which inputs there are behind the value, the mean and the variance. */
export type BatchNormAttributes = {
  readonly epsilon: number;
  readonly hasWeight: boolean;
  readonly hasBias: boolean;
};

/** Elementwise; the others are inputs that broadcast. */
export const batchNormOp: OpDefinition<BatchNormAttributes> = {
  name: "batchNorm",
  gradient(value, outGrad) {
    const { epsilon, hasWeight, hasBias } = value.attributes;
    const [input, mean, variance] = [item(value.inputs, 0), item(value.inputs, 1), item(value.inputs, 2)];
    const weight = hasWeight ? item(value.inputs, 3) : undefined;
    const sizes = channelsOf("batchNorm", input);
    const { channels } = sizes;
    const scale = rsqrt(add(reshape(variance, [channels]), epsilon));
    const statistics = concat([reshape(mean, [1, channels]), reshape(scale, [1, channels])]);
    const { products, sums } = channelGradients(input, outGrad, statistics, {
      ...sizes,
      rowsOfExample: 0,
      channelsOfRow: 1,
      rows: channels,
    });
    const factor = weight === undefined ? scale : mul(scale, reshape(weight, [channels]));
    const ofMean = mul(mul(factor, sums), -1);
    const ofVariance = mul(mul(mul(factor, scale), products), -0.5);
    return [
      mul(outGrad, alongChannels(factor, input)),
      alongChannels(ofMean, input),
      alongChannels(ofVariance, input),
      ...hasWeight ? [alongChannels(products, input)] : [],
      ...hasBias ? [alongChannels(sums, input)] : [],
    ];
  },
  lowering: {
    kind: "elementwise",
    cost: "expensive",
    expression: ({ attributes }, operands) => ({
      kind: "apply",
      function: normalise(attributes),
      operands: [...operands, { kind: "constant", value: attributes.epsilon, dtype: "f32" }],
    }),
  },
};

/** Operands are the inputs, and epsilon. */
function normalise({ hasWeight, hasBias }: BatchNormAttributes): ElementwiseFunction {
  return {
    name: "batchNorm",
    takes: ["f32"],
    wgsl(operands) {
      const text = (index: number): string => item(operands, index).text;
      const epsilon = text(operands.length - 1);
      const scaled = `(${text(0)} - ${text(1)}) * inverseSqrt(${text(2)} + ${epsilon})`;
      const weighted = hasWeight ? `${scaled} * ${text(3)}` : scaled;
      // So that no compiler makes one rounding of two in one kernel and not in another.
      return hasBias ? `opaque(${weighted}) + ${text(hasWeight ? 4 : 3)}` : weighted;
    },
  };
}
