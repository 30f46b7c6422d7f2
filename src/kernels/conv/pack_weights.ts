import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";

/** Channels that one workgroup of the direct variant computes: 8 invocations, a vector each. */
export const BLOCK_CHANNELS = 32;

/** What every adapter can bind as a uniform buffer, in bytes. */
export const UNIFORM_BYTES = 65_536;

/** Which weights are packed, and how they are stored. */
export interface PackedWeights {
  /** Weights of one pair of channels. */
  readonly taps: number;
  /** The channels that are summed over, which this piece has. */
  readonly firstIn: number;
  readonly inChannels: number;
  /** The first of the 32 channels that are computed; those from `outChannels` on get zeros. */
  readonly firstOut: number;
  readonly outChannels: number;
  /** Weights between neighbours, in memory. */
  readonly inStride: number;
  readonly outStride: number;
  /** Whether the taps are taken from the last to the first. */
  readonly isFlipped: boolean;
}

/** Weights as `[inChannels, taps, 32]`, a piece of at most {@link UNIFORM_BYTES}. */
export function packWeights<B>(
  bindings: { readonly weight: B; readonly out: B },
  packed: PackedWeights,
): Dispatch<B> {
  const { taps, firstIn, inChannels, firstOut, outChannels, inStride, outStride, isFlipped } = packed;
  const count = inChannels * taps * BLOCK_CHANNELS;
  return {
    label: `pack weights ${inChannels}x${taps}x${BLOCK_CHANNELS}`,
    code: WGSL,
    constants: {
      count,
      taps,
      first_in: firstIn,
      first_out: firstOut,
      out_channels: outChannels,
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
override first_in: u32;
override first_out: u32;
override out_channels: u32;
override in_stride: u32;
override out_stride: u32;
override is_flipped: u32;

@group(0) @binding(0) var<storage, read> weight: array<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;

${LINEAR_MAIN_WGSL}
  let o = first_out + index % ${BLOCK_CHANNELS}u;
  let tap = index / ${BLOCK_CHANNELS}u % taps;
  let c = first_in + index / ${BLOCK_CHANNELS}u / taps;
  var bits = 0u;
  if (o < out_channels) {
    bits = weight[c * in_stride + o * out_stride + select(tap, taps - 1u - tap, is_flipped == 1u)];
  }
  out[index] = bits;
}
`;
