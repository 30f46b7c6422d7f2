import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { sharedCopy } from "../elementwise/copy.ts";
import { type KernelMemory, type KernelStep, UNIFORM_BYTES } from "../kernel_steps.ts";
import type { NormSizes, NormVariant } from "./norm_sizes.ts";
import type { ChannelBindings } from "./row_walks.ts";

/** Rows that are worth a dispatch which makes each of them faster. */
const ENOUGH_ROWS = 64;

/**
 * Weight and bias in a uniform buffer, and the dispatch that puts them there. On CPU adapters all invocations read them
 * together, and a read of a storage buffer costs a bounds check and a branch for each component, which one of a uniform
 * buffer does not: with weight and bias that is a third of the time. None where they do not fit, or are not read so.
 */
export function packedChannels<B>(
  { weight, bias }: Pick<ChannelBindings<B>, "weight" | "bias">,
  { batch, channels, inner, groups }: NormSizes,
  variant: NormVariant,
  memory: KernelMemory<B>,
): { readonly step: KernelStep<B>; readonly packed: B } | undefined {
  const [first, second] = [weight, bias].flatMap((each) => each === undefined ? [] : [each]);
  const byteLength = 4 * channels * (second === undefined ? 1 : 2);
  const isRead = variant === "row" && inner === 1 && groups === 1 && channels % 4 === 0 &&
    batch >= ENOUGH_ROWS;
  if (first === undefined || !isRead || byteLength > UNIFORM_BYTES) return undefined;
  const packed = memory.scratch("weight and bias", byteLength);
  const dispatch = second === undefined
    ? sharedCopy({ input: first, out: packed }, { count: channels }, memory)
    : packPair([first, second, packed], channels);
  return { step: { dispatch, writes: [packed] }, packed };
}

function packPair<B>(bindings: readonly B[], count: number): Dispatch<B> {
  return {
    label: `pack two of ${count}`,
    code: PACK_WGSL,
    constants: { count },
    bindings,
    workgroups: linearGrid(count),
  };
}

const PACK_WGSL = `override count: u32;

@group(0) @binding(0) var<storage, read> weight: array<u32>;
@group(0) @binding(1) var<storage, read> bias: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

${LINEAR_MAIN_WGSL}
  out[index] = weight[index];
  out[count + index] = bias[index];
}
`;
