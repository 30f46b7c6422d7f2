import { alignUp } from "../../base/checked.ts";
import { type Dispatch, gridFor } from "../../gpu/dispatch.ts";
import type { RowsAndColumns } from "../sizes.ts";
import type { ConvolutionSizes } from "./convolution_sizes.ts";
import { type KernelMemory, type KernelStep, UNIFORM_BYTES } from "../kernel_steps.ts";
import { type DirectShape, directWgsl, inputColumns } from "./direct_wgsl.ts";
import { type PackedWeights, packWeights, planPieces } from "./pack_weights.ts";
import { padPlanes } from "./pad_planes.ts";

/** What a direct convolution reads and writes. */
export interface DirectBindings<B> {
  readonly source: B;
  readonly weight: B;
  readonly out: B;
}

/** A convolution of planes with zeros between and around their elements. */
interface DirectPlan extends PackedWeights {
  readonly batch: number;
  readonly source: RowsAndColumns;
  readonly before: RowsAndColumns;
  readonly spread: RowsAndColumns;
  readonly kernel: RowsAndColumns;
  readonly stride: RowsAndColumns;
  readonly dilation: RowsAndColumns;
  readonly result: RowsAndColumns;
}

/** The output of a convolution of one group. Sums go over channels, then over rows and columns of the kernel. */
export function directOutput<B>(
  bindings: DirectBindings<B>,
  sizes: ConvolutionSizes,
  memory: KernelMemory<B>,
): KernelStep<B>[] {
  const { batch, inChannels, outChannels, input, output, kernel, stride, dilation, padding } = sizes;
  const taps = kernel[0] * kernel[1];
  return directSteps(bindings, {
    batch,
    inChannels,
    outChannels,
    source: input,
    before: padding,
    spread: [1, 1],
    kernel,
    taps,
    stride,
    dilation,
    result: output,
    inStride: taps,
    outStride: inChannels * taps,
    isFlipped: false,
  }, memory);
}

/**
 * The gradient of the input of a convolution of one group: a convolution of the output's gradient, with `stride - 1`
 * zeros between its elements, with the weights turned round.
 */
export function directInputGradient<B>(
  bindings: DirectBindings<B>,
  sizes: ConvolutionSizes,
  memory: KernelMemory<B>,
): KernelStep<B>[] {
  const { batch, inChannels, outChannels, input, output, kernel, stride, dilation, padding } = sizes;
  const taps = kernel[0] * kernel[1];
  return directSteps(bindings, {
    batch,
    inChannels: outChannels,
    outChannels: inChannels,
    source: output,
    before: [
      (kernel[0] - 1) * dilation[0] - padding[0],
      (kernel[1] - 1) * dilation[1] - padding[1],
    ],
    spread: stride,
    kernel,
    taps,
    stride: [1, 1],
    dilation,
    result: input,
    inStride: inChannels * taps,
    outStride: taps,
    isFlipped: true,
  }, memory);
}

function directSteps<B>(
  { source, weight, out }: DirectBindings<B>,
  plan: DirectPlan,
  memory: KernelMemory<B>,
): KernelStep<B>[] {
  const { kernel, stride, dilation, result } = plan;
  const tile: RowsAndColumns = result[0] === 1 ? [1, 8] : [2, 4];
  const shape = { kernel, stride, dilation, tile };
  const { input, size, steps } = paddedInput(source, plan, shape, memory);
  const pieces = planPieces(plan);
  const packed = memory.scratch("packed weights", pieces.count * UNIFORM_BYTES);
  steps.push({ dispatch: packWeights({ weight, out: packed }, plan, pieces), writes: [packed] });
  for (let piece = 0; piece < pieces.count; piece++) {
    const weights = memory.slice(packed, piece * UNIFORM_BYTES, UNIFORM_BYTES);
    steps.push({ dispatch: directDispatch([input, weights, out], plan, shape, size), writes: [out] });
  }
  return steps;
}

/** The source with its zeros, in rows of whole vectors; the source itself where it is so. */
function paddedInput<B>(source: B, plan: DirectPlan, shape: DirectShape, memory: KernelMemory<B>): {
  readonly input: B;
  readonly size: RowsAndColumns;
  readonly steps: KernelStep<B>[];
} {
  const { batch, inChannels, kernel, stride, dilation, result, before, spread } = plan;
  const { tile } = shape;
  const rows = (alignUp(result[0], tile[0]) - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1;
  const lastTile = alignUp(result[1], tile[1]) - tile[1];
  const columns = alignUp(lastTile * stride[1] + inputColumns(shape), 4);
  const size: RowsAndColumns = [rows, columns];
  const isSame = rows === plan.source[0] && columns === plan.source[1] &&
    [...before].every((zeros) => zeros === 0) && [...spread].every((step) => step === 1);
  if (isSame) return { input: source, size, steps: [] };
  const planes = batch * inChannels;
  const input = memory.scratch("padded input", planes * rows * columns * 4);
  const dispatch = padPlanes(
    { input: source, out: input },
    { planes, from: plan.source, to: size, before, spread },
  );
  return { input, size, steps: [{ dispatch, writes: [input] }] };
}

function directDispatch<B>(
  bindings: readonly B[],
  { batch, inChannels: allIn, outChannels: allOut, result }: DirectPlan,
  shape: DirectShape,
  padded: RowsAndColumns,
): Dispatch<B> {
  const rowTiles = Math.ceil(result[0] / shape.tile[0]);
  const columnTiles = Math.ceil(result[1] / shape.tile[1]);
  const tiles = batch * rowTiles * columnTiles;
  return {
    label: `convolution ${allIn} to ${allOut} channels, ${shape.kernel.join("x")} direct`,
    code: directWgsl(shape),
    constants: {
      all_in: allIn,
      all_out: allOut,
      padded_h: padded[0],
      padded_w: padded[1],
      out_h: result[0],
      out_w: result[1],
      row_tiles: rowTiles,
      column_tiles: columnTiles,
      tiles,
    },
    bindings,
    workgroups: gridFor(tiles),
  };
}
