import {
  type NormAffine,
  type NormManner,
  type NormSizes,
  type NormVariant,
  rowLength,
} from "../../../kernels/norm/norm_sizes.ts";
import { packedChannels } from "../../../kernels/norm/packed_channels.ts";
import { rowNorm } from "../../../kernels/norm/row_norm.ts";
import { rowNormGradient } from "../../../kernels/norm/row_norm_gradient.ts";
import { createValue } from "../../create_value.ts";
import { memoryOf, stepsOf } from "../../kernel_steps.ts";
import { type Binding, item, type OpDefinition, type VariantChoices } from "../../op.ts";
import type { Value } from "../../value.ts";
import { add, div, mul, sub } from "../arithmetic.ts";
import { slice } from "../movement/slice.ts";
import { mean } from "../reduce.ts";
import { sum } from "../sum.ts";
import { reshape } from "../views.ts";
import { channelGradients } from "./channel_sums_op.ts";
import { composedGradients } from "./composed_gradients.ts";

/** Attributes of the ops of a normalisation of rows. */
export type RowNormAttributes = NormSizes & NormManner & NormAffine;

interface Operands {
  readonly input: Value;
  readonly weight: Value | undefined;
  readonly bias: Value | undefined;
}

function operandsOf({ inputs, attributes: { hasWeight, hasBias } }: Value<RowNormAttributes>): Operands {
  return {
    input: item(inputs, 0),
    weight: hasWeight ? item(inputs, 1) : undefined,
    bias: hasBias ? item(inputs, hasWeight ? 2 : 1) : undefined,
  };
}

const VARIANTS: VariantChoices<NormVariant> = { all: ["row", "workgroup"], cpu: "row", gpu: "workgroup" };

/**
 * Inputs are `[batch, channels, …]`, weight and bias `[channels]`. One kernel, and one that leaves the input's
 * gradient.
 */
const ROW_NORM: Omit<OpDefinition<RowNormAttributes>, "name"> = {
  gradient(value, outGrad) {
    const { attributes } = value;
    const { input, weight, bias } = operandsOf(value);
    const rows = attributes.batch * attributes.groups;
    const statistics = createValue(normStatisticsOp, [value, input], attributes, "f32", [2, rows]);
    const inputs = [input, outGrad, statistics, ...weight === undefined ? [] : [weight]];
    const ofInput = createValue(normInputGradientOp, inputs, attributes, "f32", input.shape);
    const { batch, channels, inner, groups } = attributes;
    const sizes = { batch, channels, inner, rowsOfExample: groups, channelsOfRow: channels / groups, rows };
    if (weight !== undefined) {
      const { products, sums } = channelGradients(input, outGrad, statistics, sizes);
      return [ofInput, products, ...bias === undefined ? [] : [sums]];
    }
    if (bias === undefined) return [ofInput];
    return [ofInput, sum(reshape(outGrad, [batch, channels, inner]), { axes: [0, 2] })];
  },
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const { input, weight, bias } = operandsOf(value);
      const { batch, channels, inner, groups, isCentred, epsilon } = value.attributes;
      const sizes = { batch, channels, inner, groups };
      const [out, statistics] = [context.regionOf(value), context.companionOf(value)];
      const variant = context.variant("norm", VARIANTS);
      const perChannel = {
        weight: weight && context.regionOf(weight),
        bias: bias && context.regionOf(bias),
      };
      const packing = packedChannels<Binding>(perChannel, sizes, variant, memoryOf(context));
      const bindings = {
        input: context.regionOf(input),
        ...perChannel,
        packed: packing?.packed,
        out,
        statistics,
      };
      const dispatch = rowNorm<Binding>(bindings, { sizes, isCentred, epsilon, variant });
      const writes = [out, ...statistics === undefined ? [] : [statistics]];
      return stepsOf([...packing === undefined ? [] : [packing.step], { dispatch, writes }]);
    },
  },
};

/** `(x - mean) / sqrt(variance + epsilon) * weight + bias` along the last axes. */
export const layerNormOp: OpDefinition<RowNormAttributes> = { name: "layerNorm", ...ROW_NORM };

/** `x / sqrt(mean(x²) + epsilon) * weight` along the last axes. */
export const rmsNormOp: OpDefinition<RowNormAttributes> = { name: "rmsNorm", ...ROW_NORM };

/** The same as `layerNorm` of each group of channels of an example. */
export const groupNormOp: OpDefinition<RowNormAttributes> = { name: "groupNorm", ...ROW_NORM };

/**
 * `[2, rows]`: the mean of each row, and by what its elements are multiplied; the kernel of the first input leaves
 * them, the second is what they are a function of.
 */
export const normStatisticsOp: OpDefinition<RowNormAttributes> = {
  name: "normStatistics",
  gradient(value, outGrad) {
    const input = item(value.inputs, 1);
    const { batch, groups, isCentred } = value.attributes;
    const length = rowLength(value.attributes);
    const rows = reshape(input, [batch, groups, length]);
    const ofRows = (statistics: Value, index: number): Value =>
      reshape(slice(statistics, { start: index, end: index + 1 }), [batch, groups, 1]);
    const scale = ofRows(value, 1);
    const centred = isCentred ? sub(rows, ofRows(value, 0)) : rows;
    const ofScale = mul(mul(ofRows(outGrad, 1), mul(scale, mul(scale, scale))), div(centred, -length));
    const gradient = isCentred ? add(mul(ofRows(outGrad, 0), 1 / length), ofScale) : ofScale;
    return [undefined, reshape(gradient, input.shape)];
  },
  lowering: { kind: "companion" },
};

/** The gradient of the input, of the input, the result's gradient, the statistics, and the weight if there is one. */
export const normInputGradientOp: OpDefinition<RowNormAttributes> = {
  name: "normInputGradient",
  gradient: ({ inputs, attributes }, outGrad) =>
    composedGradients(inputs, outGrad, (apart) => composedInputGradient(apart, attributes)),
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const { batch, channels, inner, groups, isCentred, epsilon, hasWeight } = value.attributes;
      const sizes = { batch, channels, inner, groups };
      const out = context.regionOf(value);
      const variant = context.variant("norm", VARIANTS);
      const weight = hasWeight ? context.regionOf(item(value.inputs, 3)) : undefined;
      const packing = packedChannels<Binding>({ weight }, sizes, variant, memoryOf(context));
      const bindings = {
        input: context.regionOf(item(value.inputs, 0)),
        outGrad: context.regionOf(item(value.inputs, 1)),
        statistics: context.regionOf(item(value.inputs, 2)),
        weight,
        packed: packing?.packed,
        out,
      };
      const dispatch = rowNormGradient<Binding>(bindings, { sizes, isCentred, epsilon, variant });
      return stepsOf([...packing === undefined ? [] : [packing.step], { dispatch, writes: [out] }]);
    },
  },
};

function composedInputGradient(inputs: readonly Value[], attributes: RowNormAttributes): Value {
  const { batch, channels, inner, groups, isCentred, hasWeight } = attributes;
  const shape = [batch, groups, channels / groups, inner];
  const [input, outGrad, statistics] = [item(inputs, 0), item(inputs, 1), item(inputs, 2)];
  const ofRows = (index: number): Value =>
    reshape(slice(statistics, { start: index, end: index + 1 }), [batch, groups, 1, 1]);
  const scale = ofRows(1);
  const grad = reshape(outGrad, shape);
  const slopes = hasWeight ? mul(grad, reshape(item(inputs, 3), [groups, channels / groups, 1])) : grad;
  const normal = mul(sub(reshape(input, shape), ofRows(0)), scale);
  const meanOf = (value: Value): Value => mean(value, { axes: [2, 3], keepDims: true });
  const level = isCentred ? sub(slopes, meanOf(slopes)) : slopes;
  return reshape(mul(sub(level, mul(normal, meanOf(mul(slopes, normal)))), scale), input.shape);
}
