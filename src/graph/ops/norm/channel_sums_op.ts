import { channelSums, type ChannelSumsSizes } from "../../../kernels/norm/channel_sums.ts";
import { createValue } from "../../create_value.ts";
import { memoryOf, stepsOf } from "../../kernel_steps.ts";
import { type Binding, item, type OpDefinition } from "../../op.ts";
import type { Value } from "../../value.ts";
import { mul, sub } from "../arithmetic.ts";
import { slice } from "../movement/slice.ts";
import { sum } from "../sum.ts";
import { broadcastTo, reshape } from "../views.ts";
import { composedGradients } from "./composed_gradients.ts";

/** The gradients of a weight and a bias that each channel has one of. */
export interface ChannelGradients {
  /** `[channels]`: sums of `outGrad` times the normalised elements. */
  readonly products: Value;
  /** `[channels]`: sums of `outGrad`. The kernel of the products leaves them. */
  readonly sums: Value;
}

/**
 * Sums over batch and `inner` of `[batch, channels, inner]`, by one kernel: what weight and bias of a normalisation
 * have as gradients.
 *
 * @param statistics `[2, rows]`: the mean of each row, then by what its elements are multiplied.
 */
export function channelGradients(
  input: Value,
  outGrad: Value,
  statistics: Value,
  sizes: ChannelSumsSizes,
): ChannelGradients {
  const inputs = [input, outGrad, statistics];
  const products = createValue(normWeightGradientOp, inputs, sizes, "f32", [sizes.channels]);
  const sums = createValue(normBiasGradientOp, [products, outGrad], sizes, "f32", [sizes.channels]);
  return { products, sums };
}

/** The gradient of a weight: sums over its channel. */
export const normWeightGradientOp: OpDefinition<ChannelSumsSizes> = {
  name: "normWeightGradient",
  gradient: ({ inputs, attributes }, outGrad) =>
    composedGradients(inputs, outGrad, (apart) => composedProducts(apart, attributes)),
  lowering: {
    kind: "kernel",
    precision: "sums",
    steps(value, context) {
      const [input, outGrad, statistics] = [0, 1, 2].map((index) =>
        context.regionOf(item(value.inputs, index))
      );
      if (input === undefined || outGrad === undefined || statistics === undefined) {
        throw new TypeError("normWeightGradient has three operands");
      }
      const bindings = {
        input,
        outGrad,
        statistics,
        products: context.regionOf(value),
        sums: context.companionOf(value),
      };
      return stepsOf(channelSums<Binding>(bindings, value.attributes, memoryOf(context)));
    },
  },
};

function composedProducts(inputs: readonly Value[], sizes: ChannelSumsSizes): Value {
  const { batch, channels, inner, rowsOfExample, channelsOfRow } = sizes;
  const groups = channels / channelsOfRow;
  const shape = [batch, groups, channelsOfRow, inner];
  const ofRows = (index: number): Value => {
    const row = slice(item(inputs, 2), { start: index, end: index + 1 });
    return reshape(row, [rowsOfExample === 0 ? 1 : batch, groups, 1, 1]);
  };
  const normal = mul(sub(reshape(item(inputs, 0), shape), ofRows(0)), ofRows(1));
  return reshape(sum(mul(reshape(item(inputs, 1), shape), normal), { axes: [0, 3] }), [channels]);
}

/** The gradient of a bias, which the kernel of the first input leaves. */
export const normBiasGradientOp: OpDefinition<ChannelSumsSizes> = {
  name: "normBiasGradient",
  gradient(value, outGrad) {
    const { batch, channels, inner } = value.attributes;
    const summed = item(value.inputs, 1);
    const repeated = broadcastTo(reshape(outGrad, [1, channels, 1]), [batch, channels, inner]);
    return [undefined, reshape(repeated, summed.shape)];
  },
  lowering: { kind: "companion" },
};
