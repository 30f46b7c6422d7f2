/**
 * Operations on values, of which models are made, each by itself: `ops` of the main entry has the same. A bundler keeps
 * those that a script uses, and no other.
 *
 * @example
 * ```ts
 * import { Executable, GpuDevice } from "@cairn-ml/cairn/gpu";
 * import { input, square } from "@cairn-ml/cairn/ops";
 *
 * const gpu = await GpuDevice.open();
 * const x = input("x", "f32", [3]);
 * const executable = await Executable.compile(gpu, {
 *   inputs: [x],
 *   outputs: { squares: square(x) },
 *   parameters: (name) => {
 *     throw new TypeError(`This program has no parameter ${name}`);
 *   },
 * });
 * executable.run({ x: Float32Array.of(1, 2, 3) });
 * const [squares] = await executable.read("squares");
 * console.log(squares?.toArray()); // [1, 4, 9]
 *
 * executable.close();
 * await gpu.close();
 * ```
 *
 * @module
 */
export { argmax, type ArgmaxOptions, argmin } from "./ops/argmax.ts";
export { add, div, mul, neg, reciprocal, square, sub } from "./ops/arithmetic.ts";
export { attention, type AttentionOptions } from "./ops/attention/attention.ts";
export { cast } from "./ops/cast.ts";
export {
  equal,
  greater,
  greaterEqual,
  isFinite,
  isNaNValue,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  notEqual,
  where,
} from "./ops/comparison.ts";
export { conv1d, conv2d, convTranspose2d } from "./ops/spatial/convolution.ts";
export type {
  Conv1dOptions,
  Conv2dOptions,
  ConvolutionPadding,
  ConvTranspose2dOptions,
} from "./ops/spatial/convolution_options.ts";
export {
  avgPool1d,
  avgPool2d,
  type AvgPoolOptions,
  maxPool1d,
  maxPool2d,
  type MaxPoolOptions,
} from "./ops/spatial/pooling.ts";
export { upsample, type UpsampleOptions } from "./ops/spatial/upsample.ts";
export type { RowsColumns } from "./ops/spatial/window.ts";
export { type CustomGradient, customOp, type CustomOpOptions } from "./ops/custom.ts";
export { customGradient } from "./ops/gradients/custom_gradient.ts";
export {
  elu,
  type EluOptions,
  gelu,
  type GeluOptions,
  hardSwish,
  leakyRelu,
  type LeakyReluOptions,
  mish,
  selu,
  silu,
} from "./ops/elementary/activations.ts";
export { atan2 } from "./ops/elementary/atan2.ts";
export { clip } from "./ops/elementary/clip.ts";
export { erf } from "./ops/elementary/erf.ts";
export { expm1, log1p, logSigmoid, softplus } from "./ops/elementary/exponentials.ts";
export { mod } from "./ops/elementary/mod.ts";
export { full, ones, zeros } from "./ops/fill.ts";
export { einsum } from "./ops/einsum.ts";
export { orthonormalColumns } from "./ops/linalg/orthonormal_columns.ts";
export { matmul, type MatmulOptions } from "./ops/matmul.ts";
export { abs, ceil, floor, maximum, minimum, relu, round, sign } from "./ops/piecewise.ts";
export { expandDims, squeeze, type SqueezeOptions, tile } from "./ops/movement/axes.ts";
export { concat, stack } from "./ops/movement/concat.ts";
export { flip, type FlipOptions } from "./ops/movement/flip.ts";
export { pad, type Padding, type PadOptions } from "./ops/movement/pad.ts";
export { slice, type SliceOptions, split } from "./ops/movement/slice.ts";
export {
  batchNorm,
  type BatchNormOpOptions,
  batchStatistics,
  type ChannelStatistics,
} from "./ops/norm/batch_norm.ts";
export { rotaryEmbedding, type RotaryEmbeddingOptions } from "./ops/norm/rotary_embedding.ts";
export {
  groupNorm,
  type GroupNormOpOptions,
  layerNorm,
  type LayerNormOpOptions,
  rmsNorm,
  type RmsNormOpOptions,
} from "./ops/norm/row_norms.ts";
export { pow } from "./ops/power.ts";
export {
  dropout,
  type DropoutOptions,
  randomNormal,
  type RandomOptions,
  randomUniform,
} from "./ops/random.ts";
export { remat } from "./ops/gradients/remat.ts";
export { oneHot } from "./ops/indexing/one_hot.ts";
export { scatter, type ScatterOptions } from "./ops/indexing/scatter.ts";
export { embedding, type EmbeddingOptions, gather, take, takeAlongAxis } from "./ops/indexing/take.ts";
export { max, mean, min } from "./ops/reduce.ts";
export type { AxisOptions, ReductionOptions } from "./ops/reduction_axes.ts";
export { all, any } from "./ops/reductions/all_any.ts";
export { cumsum, type CumsumOptions } from "./ops/reductions/cumsum.ts";
export { recurrent, type RecurrentInputs, recurrentLastCells } from "./ops/recurrent/recurrent.ts";
export {
  logSumExp,
  norm,
  type NormOptions,
  variance,
  type VarianceOptions,
} from "./ops/reductions/moments.ts";
export { prod } from "./ops/reductions/prod.ts";
export {
  argsort,
  sort,
  type SortedValues,
  type SortOptions,
  topK,
  type TopKOptions,
} from "./ops/reductions/sort.ts";
export { logSoftmax, softmax, type SoftmaxOptions } from "./ops/softmax.ts";
export { softmaxCrossEntropy, type SoftmaxCrossEntropyOptions } from "./ops/softmax_cross_entropy.ts";
export { constant, input, parameter, stepScalar } from "./ops/sources.ts";
export { sum } from "./ops/sum.ts";
export { cos, exp, log, rsqrt, sigmoid, sin, sqrt, tanh } from "./ops/transcendental.ts";
export { broadcastTo, reshape, stopGradient, transpose } from "./ops/views.ts";
export type { RecurrentCell } from "../kernels/recurrent/cells.ts";
export { weighted } from "./ops/weighted.ts";
