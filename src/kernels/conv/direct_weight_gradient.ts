import { alignUp } from "../../base/checked.ts";
import { type Dispatch, gridFor, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import type { RowsAndColumns } from "../sizes.ts";
import type { ConvolutionSizes } from "./convolution_sizes.ts";
import { type KernelMemory, type KernelStep, numberRecords } from "../kernel_steps.ts";
import { INVOCATIONS } from "./direct_wgsl.ts";
import { packChannels, packedElements } from "./pack_channels.ts";
import { paddedElements, type PaddedPlanes, padPlanes } from "./pad_planes.ts";
import { chooseTile, type WeightGradientTile } from "./weight_gradient_tile.ts";
import {
  keptColumns,
  numberWords,
  tileVectors,
  type WeightGradientNumbers,
  type WeightGradientShape,
  weightGradientWgsl,
} from "./weight_gradient_wgsl.ts";

/** Elements of the output that are added in one chain: rounding errors grow with it. */
const MOST_TERMS = 4096;

/** Workgroups that keep a few processor cores busy. */
const ENOUGH_WORKGROUPS = 64;

/** What all partial sums together may take. */
const MOST_PARTIAL_BYTES = 64 * 1024 * 1024;

/** Channels that partial sums were counted by when their number was settled. */
const BLOCK_CHANNELS = 32;

/**
 * The gradient of the weights of a convolution of one group. Rows of the output are cut into spans; the sums of each
 * are made in the order of images, rows and columns, and then added in the order of spans. `undefined` for large
 * kernels.
 */
export function directWeightGradient<B>(
  bindings: { readonly input: B; readonly outGradient: B; readonly out: B },
  sizes: ConvolutionSizes,
  memory: KernelMemory<B>,
): KernelStep<B>[] | undefined {
  const { inChannels, outChannels, kernel, stride, dilation } = sizes;
  const newColumns = kernel[1] - keptColumns({ kernel, stride, dilation });
  const taps = kernel[0] * kernel[1];
  const tile = chooseTile({ inChannels, outChannels, taps, newElements: kernel[0] * newColumns });
  if (tile === undefined) return undefined;
  const shape: WeightGradientShape = { kernel, stride, dilation, tile };
  const input = paddedInput(bindings.input, sizes, tile, memory);
  const gradient = packedGradient(bindings.outGradient, sizes, tile, memory);
  const spans = spansOf(sizes);
  const inTiles = Math.ceil(inChannels / tile.inChannels);
  const outTiles = Math.ceil(outChannels / tile.outChannels);
  const numbers: WeightGradientNumbers = {
    allRows: sizes.batch * sizes.output[0],
    spanRows: spans.rows,
    tiles: spans.count * inTiles * outTiles,
    inTiles,
    outTiles,
    inChannels,
    outChannels,
    padded: input.size,
    output: sizes.output,
  };
  const partials = memory.scratch("spans of the weights' gradient", numbers.tiles * tileVectors(shape) * 16);
  const record = numberRecords(memory, "sizes of the weights' gradient", [numberWords(numbers)]);
  const sum: Dispatch<B> = {
    label: `convolution ${inChannels} to ${outChannels} channels, weightGradient direct`,
    code: weightGradientWgsl(shape),
    constants: {},
    bindings: [input.padded, gradient.packed, record(0), partials],
    workgroups: gridFor(Math.ceil(numbers.tiles / INVOCATIONS)),
  };
  const collect = collectDispatch([partials, bindings.out], sizes, shape, numbers);
  return [
    ...gradient.steps,
    ...input.steps,
    { dispatch: sum, writes: [partials] },
    { dispatch: collect, writes: [bindings.out] },
  ];
}

/** The input with its zeros, as planes or with channels innermost. */
function paddedInput<B>(
  input: B,
  { batch, inChannels, input: from, output, kernel, stride, dilation, padding }: ConvolutionSizes,
  tile: WeightGradientTile,
  memory: KernelMemory<B>,
): { readonly padded: B; readonly size: RowsAndColumns; readonly steps: KernelStep<B>[] } {
  const rows = (output[0] - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1;
  const columns = (output[1] - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1;
  const planes = { planes: batch * inChannels, from, before: padding, spread: [1, 1] } as const;
  if (tile.packedIn) {
    const channels = alignUp(inChannels, tile.inChannels);
    const layout = { batch, inChannels, channels, from, to: [rows, columns], before: padding } as const;
    const padded = memory.scratch("padded input by channels", packedElements(layout) * 4);
    const dispatch = packChannels({ input, out: padded }, layout);
    return { padded, size: [rows, columns], steps: [{ dispatch, writes: [padded] }] };
  }
  const layout: PaddedPlanes = { ...planes, rows, tiles: 1, columns: alignUp(columns, 4), tileStep: 0 };
  const padded = memory.scratch("padded input", paddedElements(layout) * 4);
  const dispatch = padPlanes({ input, out: padded }, layout);
  return { padded, size: [rows, layout.columns], steps: [{ dispatch, writes: [padded] }] };
}

/** The output's gradient with channels innermost, where the tile wants it so. */
function packedGradient<B>(
  gradient: B,
  { batch, outChannels, output }: ConvolutionSizes,
  tile: WeightGradientTile,
  memory: KernelMemory<B>,
): { readonly packed: B; readonly steps: KernelStep<B>[] } {
  if (!tile.packedOut) return { packed: gradient, steps: [] };
  const channels = alignUp(outChannels, tile.outChannels);
  const layout = {
    batch,
    inChannels: outChannels,
    channels,
    from: output,
    to: output,
    before: [0, 0],
  } as const;
  const packed = memory.scratch("gradient by channels", packedElements(layout) * 4);
  return {
    packed,
    steps: [{ dispatch: packChannels({ input: gradient, out: packed }, layout), writes: [packed] }],
  };
}

/** How the rows of all images are cut. It decides the last bits, so it depends on the sizes only. */
function spansOf({ batch, inChannels, outChannels, output, kernel }: ConvolutionSizes): {
  readonly count: number;
  readonly rows: number;
} {
  const rows = batch * output[0];
  const blocks = inChannels * Math.ceil(outChannels / BLOCK_CHANNELS);
  const wanted = Math.max(rows * output[1] / MOST_TERMS, ENOUGH_WORKGROUPS / blocks);
  const spanBytes = inChannels * kernel[0] * kernel[1] * alignUp(outChannels, 4) * 4;
  const most = Math.max(1, Math.min(rows, Math.floor(MOST_PARTIAL_BYTES / spanBytes)));
  const rowsEach = Math.ceil(rows / Math.min(most, Math.max(1, Math.ceil(wanted))));
  return { count: Math.ceil(rows / rowsEach), rows: rowsEach };
}

function collectDispatch<B>(
  bindings: readonly B[],
  { inChannels, outChannels, kernel }: ConvolutionSizes,
  shape: WeightGradientShape,
  { tiles, inTiles, spanRows, allRows }: WeightGradientNumbers,
): Dispatch<B> {
  const taps = kernel[0] * kernel[1];
  const spans = Math.ceil(allRows / spanRows);
  const count = outChannels * inChannels * taps;
  return {
    label: `add ${spans} spans of a weightGradient`,
    code: COLLECT_WGSL,
    constants: {
      count,
      spans,
      taps,
      in_channels: inChannels,
      in_tiles: inTiles,
      tile_in: shape.tile.inChannels,
      tile_out: shape.tile.outChannels,
      span_size: tiles / spans * tileVectors(shape) * 4,
    },
    bindings,
    workgroups: linearGrid(count),
  };
}

const COLLECT_WGSL = `// out[o, c, tap] = sum over spans of partials[span, out tile, in tile, c, tap, o].
override count: u32;
override spans: u32;
override taps: u32;
override in_channels: u32;
override in_tiles: u32;
override tile_in: u32;
override tile_out: u32;
override span_size: u32;

@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

${LINEAR_MAIN_WGSL}
  let tap = index % taps;
  let c = index / taps % in_channels;
  let o = index / taps / in_channels;
  let tile = o / tile_out * in_tiles + c / tile_in;
  let first = ((tile * tile_in + c % tile_in) * taps + tap) * tile_out + o % tile_out;
  var sum = partials[first];
  for (var span = 1u; span < spans; span++) {
    sum += partials[first + span * span_size];
  }
  out[index] = sum;
}
`;
