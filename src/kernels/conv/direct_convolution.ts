import { alignUp } from "../../base/checked.ts";
import { type Dispatch, gridFor } from "../../gpu/dispatch.ts";
import type { RowsAndColumns } from "../sizes.ts";
import type { ConvolutionSizes } from "./convolution_sizes.ts";
import { type KernelMemory, type KernelStep, numberRecords, UNIFORM_BYTES } from "../kernel_steps.ts";
import { chooseTile, vectorsOfTile } from "./direct_tile.ts";
import {
  columnWindow,
  type DirectPiece,
  type DirectShape,
  directWgsl,
  INVOCATIONS,
  pieceWords,
} from "./direct_wgsl.ts";
import { type PackedWeights, packWeights, planPieces, type WeightPieces } from "./pack_weights.ts";
import { paddedElements, type PaddedPlanes, padPlanes } from "./pad_planes.ts";

/** What a direct convolution reads and writes. */
export interface DirectBindings<B> {
  readonly source: B;
  readonly weight: B;
  readonly out: B;
}

/** A convolution of planes with zeros between and around their elements. */
interface DirectSizes extends Omit<PackedWeights, "blockChannels">, Omit<DirectShape, "tile"> {
  readonly batch: number;
  readonly source: RowsAndColumns;
  readonly before: RowsAndColumns;
  readonly spread: RowsAndColumns;
  readonly result: RowsAndColumns;
}

/** The same with how it is cut. */
interface DirectPlan extends DirectSizes, PackedWeights, DirectShape {
  readonly pieces: WeightPieces;
}

/**
 * The output of a convolution of one group, and `undefined` where its kernel is too large. Sums go over channels, then
 * over rows and columns of the kernel.
 */
export function directOutput<B>(
  bindings: DirectBindings<B>,
  sizes: ConvolutionSizes,
  memory: KernelMemory<B>,
): KernelStep<B>[] | undefined {
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
 * zeros between its elements, with the weights turned round. `undefined` where its kernel is too large.
 */
export function directInputGradient<B>(
  bindings: DirectBindings<B>,
  sizes: ConvolutionSizes,
  memory: KernelMemory<B>,
): KernelStep<B>[] | undefined {
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
  sizes: DirectSizes,
  memory: KernelMemory<B>,
): KernelStep<B>[] | undefined {
  const plan = planOf(sizes);
  if (plan === undefined) return undefined;
  const { pieces } = plan;
  const { input, layout, steps } = paddedInput(source, plan, memory);
  const packed = memory.scratch("packed weights", pieces.count * UNIFORM_BYTES);
  steps.push({ dispatch: packWeights({ weight, out: packed }, plan, pieces), writes: [packed] });
  const all = piecesOf(plan, layout);
  const numbers = numberRecords(memory, "pieces of a convolution", all.map(pieceWords));
  const code = directWgsl(plan, pieces.perBlock > 1);
  all.forEach(({ tiles }, index) => {
    const weights = memory.slice(packed, index * UNIFORM_BYTES, UNIFORM_BYTES);
    const dispatch: Dispatch<B> = {
      label: `convolution ${plan.inChannels} to ${plan.outChannels} channels, ${
        plan.kernel.join("x")
      } direct`,
      code,
      constants: {},
      bindings: [input, weights, numbers(index), out],
      workgroups: gridFor(Math.ceil(tiles / INVOCATIONS)),
    };
    steps.push({ dispatch, writes: [out] });
  });
  return steps;
}

function planOf(sizes: DirectSizes): DirectPlan | undefined {
  const tile = chooseTile({ size: sizes.result, channels: sizes.outChannels, ...columnWindow(sizes) });
  if (tile === undefined) return undefined;
  const packed = { ...sizes, blockChannels: tile.channels };
  const pieces = planPieces(packed);
  return pieces === undefined ? undefined : { ...packed, tile, pieces };
}

/** The source with its zeros, each tile's columns in whole vectors; the source itself where it is so. */
function paddedInput<B>(source: B, plan: DirectPlan, memory: KernelMemory<B>): {
  readonly input: B;
  readonly layout: PaddedPlanes;
  readonly steps: KernelStep<B>[];
} {
  const { batch, inChannels, kernel, stride, dilation, result, before, spread, tile: { size } } = plan;
  const vectors = vectorsOfTile(size[1], columnWindow(plan));
  const layout: PaddedPlanes = {
    planes: batch * inChannels,
    from: plan.source,
    rows: (alignUp(result[0], size[0]) - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1,
    tiles: Math.ceil(result[1] / size[1]),
    columns: ((vectors.at(-1) ?? 0) + 1) * 4,
    tileStep: size[1] * stride[1],
    before,
    spread,
  };
  const isSame = layout.tiles === 1 && layout.rows === plan.source[0] && layout.columns === plan.source[1] &&
    before.every((zeros) => zeros === 0) && spread.every((step) => step === 1);
  if (isSame) return { input: source, layout, steps: [] };
  const input = memory.scratch("padded input", paddedElements(layout) * 4);
  const dispatch = padPlanes({ input: source, out: input }, layout);
  return { input, layout, steps: [{ dispatch, writes: [input] }] };
}

/** One for each piece of weights, in their order. */
function piecesOf(plan: DirectPlan, { rows, tiles: columnTiles, columns }: PaddedPlanes): DirectPiece[] {
  const { batch, inChannels, outChannels, result, tile: { size, channels }, pieces } = plan;
  const rowTiles = Math.ceil(result[0] / size[0]);
  return Array.from({ length: pieces.count }, (_, index) => {
    const firstIn = index % pieces.perBlock * pieces.pieceIn;
    const firstBlock = Math.floor(index / pieces.perBlock) * pieces.pieceBlocks;
    const blocks = Math.min(pieces.pieceBlocks, pieces.blocks - firstBlock);
    return {
      tiles: batch * blocks * rowTiles * columnTiles,
      columnTiles,
      rowTiles,
      blocks,
      allIn: inChannels,
      firstIn,
      inChannels: Math.min(pieces.pieceIn, inChannels - firstIn),
      allOut: outChannels,
      firstOut: firstBlock * channels,
      result,
      row: columnTiles * columns / 4,
      plane: rows * columnTiles * columns / 4,
      tileVectors: columns / 4,
    };
  });
}
