import { checkOptions } from "../../../base/options/options.ts";
import { convolution, type ConvolutionVariant } from "../../../kernels/conv/convolution.ts";
import type { ConvolutionProduct, ConvolutionSizes } from "../../../kernels/conv/convolution_sizes.ts";
import type { RowsAndColumns } from "../../../kernels/sizes.ts";
import { elementCount, formatShape, type Shape } from "../../../tensor/shape.ts";
import { createValue } from "../../create_value.ts";
import { type Binding, item, type KernelLowering, type OpDefinition, type VariantChoices } from "../../op.ts";
import type { Value } from "../../value.ts";
import { memoryOf, stepsOf } from "../../kernel_steps.ts";
import { requireDType } from "../requirements.ts";
import { reshape } from "../views.ts";
import {
  CONV1D_OPTIONS,
  type Conv1dOptions,
  type Conv2dOptions,
  conv2dWindow,
  CONV_TRANSPOSE2D_OPTIONS,
  type ConvTranspose2dOptions,
  paddingOf,
} from "./convolution_options.ts";
import { outputSize, requireAxes, rowsAndColumns, wholeNumber } from "./window.ts";

/** Attributes of the three products of a convolution. */
export type ConvolutionAttributes = { readonly sizes: ConvolutionSizes };

/**
 * 2-D convolution (cross-correlation, as in PyTorch): input `[batch, channels, rows, columns]`, weights
 * `[outChannels, channels / groups, kernelRows, kernelColumns]`, both `f32`; the result is
 * `[batch, outChannels, outRows, outColumns]`. Zeros of the padding are multiplied like other elements. The bounds of
 * its rounding errors are those of `matmul`.
 */
export function conv2d(input: Value, weight: Value, options: Conv2dOptions = {}): Value {
  return convolved("conv2d", input, weight, options);
}

/**
 * As {@link conv2d} with one axis less: input `[batch, channels, length]`, weights
 * `[outChannels, channels / groups, kernel]`.
 */
export function conv1d(input: Value, weight: Value, options: Conv1dOptions = {}): Value {
  checkOptions("conv1d()", options, CONV1D_OPTIONS, '{ stride: 2, padding: "same" }');
  requireAxes("conv1d", "input", input, ["batch", "channels", "length"]);
  requireAxes("conv1d", "weights", weight, ["outChannels", "channels / groups", "kernel"]);
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  const asRows = ([first = 0, second = 0, length = 0]: Shape): Shape => [first, second, 1, length];
  const sides = typeof padding === "string"
    ? padding
    : [[0, 0], typeof padding === "number" ? [padding, padding] as const : padding] as const;
  const output = convolved(
    "conv1d",
    reshape(input, asRows(input.shape)),
    reshape(weight, asRows(weight.shape)),
    {
      stride: [1, stride],
      padding: sides,
      dilation: [1, dilation],
      groups,
    },
  );
  const [batch = 0, channels = 0, , length = 0] = output.shape;
  return reshape(output, [batch, channels, length]);
}

/**
 * The gradient of `conv2d` for its input, as an op of its own (PyTorch's `conv_transpose2d`): input
 * `[batch, channels, rows, columns]`, weights `[channels, outChannels / groups, kernelRows, kernelColumns]`. The
 * result has `(rows - 1) * stride - 2 * padding + dilation * (kernelRows - 1) + outputPadding + 1` rows.
 */
export function convTranspose2d(input: Value, weight: Value, options: ConvTranspose2dOptions = {}): Value {
  const op = "convTranspose2d";
  checkOptions(`${op}()`, options, CONV_TRANSPOSE2D_OPTIONS, "{ stride: 2 }");
  requireDType(op, input, ["f32"]);
  requireDType(op, weight, ["f32"]);
  const [batch = 0, channels = 0, rows = 0, columns = 0] = requireAxes(op, "input", input, IMAGES);
  const [inChannels = 0, groupOut = 0, kernelRows = 0, kernelColumns = 0] = requireAxes(
    op,
    "weights",
    weight,
    [
      "channels",
      "outChannels / groups",
      "kernelRows",
      "kernelColumns",
    ],
  );
  const groups = wholeNumber(op, "groups", options.groups ?? 1, 1);
  if (channels !== inChannels || channels % groups !== 0) {
    throw channelsError(op, input, weight, groups, inChannels);
  }
  const kernel: RowsAndColumns = [kernelRows, kernelColumns];
  const stride = rowsAndColumns(op, "stride", options.stride ?? 1, 1);
  const dilation = rowsAndColumns(op, "dilation", options.dilation ?? 1, 1);
  const padding = rowsAndColumns(op, "padding", options.padding ?? 0, 0);
  const extra = rowsAndColumns(op, "outputPadding", options.outputPadding ?? 0, 0);
  const sizeAlong = (axis: 0 | 1, size: number): number => {
    if (extra[axis] >= stride[axis] && extra[axis] >= dilation[axis]) {
      throw new RangeError(
        `${op}: outputPadding is less than the stride or the dilation, found ${extra[axis]} with stride ` +
          `${stride[axis]} and dilation ${dilation[axis]}`,
      );
    }
    return (size - 1) * stride[axis] - 2 * padding[axis] + dilation[axis] * (kernel[axis] - 1) + extra[axis] +
      1;
  };
  const size: RowsAndColumns = [sizeAlong(0, rows), sizeAlong(1, columns)];
  if (size[0] < 1 || size[1] < 1) {
    throw new TypeError(
      `${op}: the result would have ${size[0]} rows and ${size[1]} columns; use less padding`,
    );
  }
  return productOf("inputGradient", weight, input, {
    batch,
    inChannels: groupOut * groups,
    outChannels: channels,
    groups,
    input: size,
    kernel,
    output: [rows, columns],
    stride,
    dilation,
    padding,
  });
}

const IMAGES = ["batch", "channels", "rows", "columns"];
const KERNELS = ["outChannels", "channels / groups", "kernelRows", "kernelColumns"];

function convolved(op: string, input: Value, weight: Value, options: Conv2dOptions): Value {
  requireDType(op, input, ["f32"]);
  requireDType(op, weight, ["f32"]);
  const [batch = 0, channels = 0, rows = 0, columns = 0] = requireAxes(op, "input", input, IMAGES);
  const [outChannels = 0, groupIn = 0, kernelRows = 0, kernelColumns = 0] = requireAxes(
    op,
    "weights",
    weight,
    KERNELS,
  );
  const { groups, ...window } = conv2dWindow(op, [kernelRows, kernelColumns], options);
  if (channels !== groupIn * groups || outChannels % groups !== 0) {
    throw channelsError(op, input, weight, groups, groupIn * groups);
  }
  if (kernelRows < 1 || kernelColumns < 1) {
    throw new TypeError(
      `${op}: a kernel has at least one row and one column, found weights ${formatShape(weight.shape)}`,
    );
  }
  const size: RowsAndColumns = [rows, columns];
  const zeros = paddingOf(op, options.padding ?? 0, size, window);
  return productOf("output", input, weight, {
    batch,
    inChannels: channels,
    outChannels,
    groups,
    input: size,
    output: outputSize(op, size, zeros, window),
    padding: [zeros[0][0], zeros[1][0]],
    ...window,
  });
}

function channelsError(op: string, input: Value, weight: Value, groups: number, expected: number): TypeError {
  return new TypeError(
    `${op}: input ${formatShape(input.shape)} and weights ${formatShape(weight.shape)} do not fit in ` +
      `${groups} group${groups === 1 ? "" : "s"}: the weights are for ${expected} input channels, and the ` +
      "number of groups divides those of both; change a shape or the groups",
  );
}

/** The product of two factors, in the order input, weights, output's gradient. */
function productOf(product: ConvolutionProduct, first: Value, second: Value, sizes: ConvolutionSizes): Value {
  return createValue(OPS[product], [first, second], { sizes }, "f32", shapeOf(product, sizes));
}

function shapeOf(product: ConvolutionProduct, sizes: ConvolutionSizes): Shape {
  const { batch, inChannels, outChannels, groups, input, kernel, output } = sizes;
  if (product === "output") return [batch, outChannels, ...output];
  return product === "inputGradient"
    ? [batch, inChannels, ...input]
    : [outChannels, inChannels / groups, ...kernel];
}

const CONVOLUTION_VARIANTS: VariantChoices<ConvolutionVariant> = {
  all: ["direct", "element"],
  cpu: "direct",
  gpu: "element",
};

function loweringOf(product: ConvolutionProduct): KernelLowering<ConvolutionAttributes> {
  return {
    kind: "kernel",
    precision: "factors",
    steps(value, context) {
      const [first, second] = [item(value.inputs, 0), item(value.inputs, 1)];
      const bindings = {
        factors: [context.regionOf(first), context.regionOf(second)] as const,
        out: context.regionOf(value),
      };
      const variant = context.variant("convolution", CONVOLUTION_VARIANTS);
      return stepsOf(
        convolution<Binding>(product, bindings, value.attributes.sizes, variant, memoryOf(context)),
      );
    },
  };
}

// A product is linear in each factor, so the gradients of the three are the three again.

/** The output of a convolution, from input and weights. */
export const convolutionOp: OpDefinition<ConvolutionAttributes> = {
  name: "convolution",
  flops: ({ attributes: { sizes } }) => flopsOfProduct(sizes),
  lowering: loweringOf("output"),
  gradient(value, outGrad) {
    const [input, weight] = [item(value.inputs, 0), item(value.inputs, 1)];
    const { sizes } = value.attributes;
    return [
      productOf("inputGradient", weight, outGrad, sizes),
      productOf("weightGradient", input, outGrad, sizes),
    ];
  },
};

/** The gradient of a convolution's input, from weights and the output's gradient. */
export const convolutionInputGradientOp: OpDefinition<ConvolutionAttributes> = {
  name: "convolutionInputGradient",
  flops: ({ attributes: { sizes } }) => flopsOfProduct(sizes),
  lowering: loweringOf("inputGradient"),
  gradient(value, outGrad) {
    const [weight, gradient] = [item(value.inputs, 0), item(value.inputs, 1)];
    const { sizes } = value.attributes;
    return [
      productOf("weightGradient", outGrad, gradient, sizes),
      productOf("output", outGrad, weight, sizes),
    ];
  },
};

/** The gradient of a convolution's weights, from input and the output's gradient. */
export const convolutionWeightGradientOp: OpDefinition<ConvolutionAttributes> = {
  name: "convolutionWeightGradient",
  flops: ({ attributes: { sizes } }) => flopsOfProduct(sizes),
  lowering: loweringOf("weightGradient"),
  gradient(value, outGrad) {
    const [input, gradient] = [item(value.inputs, 0), item(value.inputs, 1)];
    const { sizes } = value.attributes;
    return [productOf("inputGradient", outGrad, gradient, sizes), productOf("output", input, outGrad, sizes)];
  },
};

const OPS: Readonly<Record<ConvolutionProduct, OpDefinition<ConvolutionAttributes>>> = {
  output: convolutionOp,
  inputGradient: convolutionInputGradientOp,
  weightGradient: convolutionWeightGradientOp,
};

/** The same for all three products: each pair of a weight and a place that it meets, padding included. */
function flopsOfProduct(
  { batch, inChannels, outChannels, groups, kernel, output }: ConvolutionSizes,
): number {
  return 2 * batch * outChannels * elementCount(output) * (inChannels / groups) * elementCount(kernel);
}
