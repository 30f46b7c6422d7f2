import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { UNIFORM_BYTES } from "../kernel_steps.ts";

/** How weights are stored, and how they are cut into blocks of channels that are computed. */
export interface PackedWeights {
  /** Weights of one pair of channels. */
  readonly taps: number;
  /** Channels that are summed over, and those that are computed. */
  readonly inChannels: number;
  readonly outChannels: number;
  /** Channels of a block, a multiple of 4. */
  readonly blockChannels: number;
  /** Weights between neighbours, in memory. */
  readonly inStride: number;
  readonly outStride: number;
  /** Whether the taps are taken from the last to the first. */
  readonly isFlipped: boolean;
}

/**
 * Pieces that can be bound as uniform buffers. Either each has several whole blocks, or some of the channels that are
 * summed over of one block; those of a block follow one another.
 */
export interface WeightPieces {
  /** Of all. */
  readonly blocks: number;
  /** Blocks of a piece, and channels that it sums over. */
  readonly pieceBlocks: number;
  readonly pieceIn: number;
  /** Pieces of a block. */
  readonly perBlock: number;
  readonly count: number;
}

/** Vectors of a piece. */
const PIECE_VECTORS = UNIFORM_BYTES / 16;

/** The pieces of weights. `undefined` where a piece cannot hold one pair of a channel and a block. */
export function planPieces(
  { taps, inChannels, outChannels, blockChannels }: PackedWeights,
): WeightPieces | undefined {
  const blocks = Math.ceil(outChannels / blockChannels);
  const most = Math.floor(PIECE_VECTORS / (taps * blockChannels / 4));
  if (most === 0) return undefined;
  const pieceIn = Math.ceil(inChannels / Math.ceil(inChannels / most));
  const perBlock = Math.ceil(inChannels / pieceIn);
  const pieceBlocks = perBlock > 1 ? 1 : Math.min(blocks, Math.floor(most / inChannels));
  return { blocks, pieceBlocks, pieceIn, perBlock, count: perBlock * Math.ceil(blocks / pieceBlocks) };
}

/** Copies weights into their pieces, `[block, in, taps, out]` each. Channels beyond the last are zeros. */
export function packWeights<B>(
  bindings: { readonly weight: B; readonly out: B },
  packed: PackedWeights,
  { pieceBlocks, pieceIn, perBlock, count: pieces }: WeightPieces,
): Dispatch<B> {
  const { taps, inChannels, outChannels, blockChannels, inStride, outStride, isFlipped } = packed;
  const count = pieces * PIECE_VECTORS;
  return {
    label: `pack weights of ${inChannels} to ${outChannels} channels into ${pieces} pieces`,
    code: WGSL,
    constants: {
      count,
      taps,
      in_channels: inChannels,
      out_channels: outChannels,
      block_vectors: blockChannels / 4,
      piece_blocks: pieceBlocks,
      piece_in: pieceIn,
      pieces_of_block: perBlock,
      in_stride: inStride,
      out_stride: outStride,
      is_flipped: isFlipped ? 1 : 0,
    },
    bindings: [bindings.weight, bindings.out],
    workgroups: linearGrid(count),
  };
}

const WGSL = `override count: u32;
override taps: u32;
override in_channels: u32;
override out_channels: u32;
override block_vectors: u32; // of channels that are computed
override piece_blocks: u32;
override piece_in: u32; // channels that are summed over, in one piece
override pieces_of_block: u32;
override in_stride: u32;
override out_stride: u32;
override is_flipped: u32;

@group(0) @binding(0) var<storage, read> weight: array<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<u32>>;

fn load(o: u32, first: u32) -> u32 {
  if (o >= out_channels) {
    return 0u;
  }
  return weight[first + o * out_stride];
}

${LINEAR_MAIN_WGSL}
  let piece = index / ${PIECE_VECTORS}u;
  let place = index % ${PIECE_VECTORS}u;
  let first_in = piece % pieces_of_block * piece_in;
  let channels = min(piece_in, in_channels - first_in);
  let tap = place / block_vectors % taps;
  let c = place / block_vectors / taps % channels;
  let block = place / block_vectors / taps / channels;
  var four = vec4<u32>();
  if (block < piece_blocks) {
    let o = ((piece / pieces_of_block * piece_blocks + block) * block_vectors + place % block_vectors) * 4u;
    let first = (first_in + c) * in_stride + select(tap, taps - 1u - tap, is_flipped == 1u);
    four = vec4<u32>(load(o, first), load(o + 1u, first), load(o + 2u, first), load(o + 3u, first));
  }
  out[index] = four;
}
`;
