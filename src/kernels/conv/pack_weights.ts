import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { UNIFORM_BYTES } from "../kernel_steps.ts";

/** Channels that one workgroup of the direct variant computes: 8 invocations, a vector each. */
export const BLOCK_CHANNELS = 32;

/** A piece begins with what it holds, so that one kernel, compiled once, serves all of them. */
export const WEIGHTS_WGSL: string = `struct Weights {
  first_in: u32,
  in_channels: u32,
  first_out: u32,
  unused: u32,
  elements: array<vec4<f32>, ${UNIFORM_BYTES / 16 - 1}>, // [in_channels, taps, ${BLOCK_CHANNELS}]
}`;

/** How weights are stored, and how they are cut into pieces that can be bound as uniform buffers. */
export interface PackedWeights {
  /** Weights of one pair of channels. */
  readonly taps: number;
  /** Channels that are summed over, and those that are computed. */
  readonly inChannels: number;
  readonly outChannels: number;
  /** Weights between neighbours, in memory. */
  readonly inStride: number;
  readonly outStride: number;
  /** Whether the taps are taken from the last to the first. */
  readonly isFlipped: boolean;
}

/** Pieces: for each block of 32 channels that are computed, one or more for those that are summed over. */
export interface WeightPieces {
  /** Channels that are summed over, in one piece. */
  readonly inChannels: number;
  readonly perBlock: number;
  readonly count: number;
}

/** How many channels of so many taps fit into a piece. */
export function channelsOfPiece(taps: number): number {
  return Math.floor((UNIFORM_BYTES / 16 - 1) / (taps * BLOCK_CHANNELS / 4));
}

/** The pieces of weights. */
export function planPieces({ taps, inChannels, outChannels }: PackedWeights): WeightPieces {
  const each = Math.min(inChannels, channelsOfPiece(taps));
  const perBlock = Math.ceil(inChannels / each);
  return { inChannels: each, perBlock, count: perBlock * Math.ceil(outChannels / BLOCK_CHANNELS) };
}

/** Copies weights into their pieces. Channels beyond the last are zeros. */
export function packWeights<B>(
  bindings: { readonly weight: B; readonly out: B },
  packed: PackedWeights,
  pieces: WeightPieces,
): Dispatch<B> {
  const { taps, inChannels, outChannels, inStride, outStride, isFlipped } = packed;
  const count = pieces.count * UNIFORM_BYTES / 16;
  return {
    label: `pack weights of ${inChannels} to ${outChannels} channels into ${pieces.count} pieces`,
    code: WGSL,
    constants: {
      count,
      taps,
      in_channels: inChannels,
      out_channels: outChannels,
      piece_in: pieces.inChannels,
      pieces: pieces.perBlock,
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
override piece_in: u32; // channels that are summed over, in one piece
override pieces: u32; // of a block of channels that are computed
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
  let piece = index / ${UNIFORM_BYTES / 16}u;
  let place = index % ${UNIFORM_BYTES / 16}u;
  let first_in = piece % pieces * piece_in;
  let end_in = min(first_in + piece_in, in_channels);
  let first_out = piece / pieces * ${BLOCK_CHANNELS}u;
  if (place == 0u) {
    out[index] = vec4<u32>(first_in, end_in - first_in, first_out, 0u);
    return;
  }
  let o = first_out + (place - 1u) % ${BLOCK_CHANNELS / 4}u * 4u;
  let tap = (place - 1u) / ${BLOCK_CHANNELS / 4}u % taps;
  let c = first_in + (place - 1u) / ${BLOCK_CHANNELS / 4}u / taps;
  var four = vec4<u32>();
  if (c < end_in) {
    let first = c * in_stride + select(tap, taps - 1u - tap, is_flipped == 1u);
    four = vec4<u32>(load(o, first), load(o + 1u, first), load(o + 2u, first), load(o + 3u, first));
  }
  out[index] = four;
}
`;
