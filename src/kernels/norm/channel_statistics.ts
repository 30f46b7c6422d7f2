import { LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { floatBitsWgsl, NAN_BITS } from "../float_bits.ts";
import { FLOAT_TOTALS_WGSL } from "../float_totals.ts";
import type { KernelMemory, KernelStep } from "../kernel_steps.ts";
import { HIDE_WGSL, opaqueWgsl } from "../opaque.ts";
import { requireElements, requireSizes } from "../sizes.ts";
import {
  CHANNEL_MAIN_WGSL,
  channelConstants,
  channelHeadWgsl,
  type ChannelPlan,
  type ChannelSizes,
  channelSumsWgsl,
  channelTotalWgsl,
  columnType,
  planChannels,
} from "./channel_plan.ts";

/**
 * `out [2, channels]`: the mean of each channel of `input [batch, channels, inner]`, then its variance, the mean of the
 * squared differences from it. Two dispatches: the mean and the squares of each partial, and what follows from them
 * (Chan, Golub and LeVeque 1983).
 *
 * Means are found as by `rowNorm`: those of equal elements are exact, and their variance is 0. The variance is off by
 * at most 2e-6 of itself, and by the square of the rounding of the means. A NaN or an infinity makes both NaN.
 */
export function channelStatistics<B>(
  { input, out }: { readonly input: B; readonly out: B },
  sizes: ChannelSizes,
  memory: KernelMemory<B>,
): KernelStep<B>[] {
  const { batch, channels, inner } = sizes;
  requireSizes("channelStatistics", sizes);
  requireElements("channelStatistics", [batch, channels, inner]);
  const plan = planChannels(sizes);
  const partials = memory.scratch("partial statistics", 8 * plan.partials * channels);
  const constants = channelConstants(sizes, plan);
  const perLoad = plan.isOfChannels ? 1 : plan.width;
  return [
    {
      dispatch: {
        label: `channelStatistics ${batch}x${channels}x${inner} to ${plan.partials}`,
        code: partialsKernel(plan),
        constants: { ...constants, elements_of_load: perLoad },
        bindings: [input, partials],
        workgroups: linearGrid(plan.columns * plan.partials),
      },
      writes: [partials],
    },
    {
      dispatch: {
        label: `channelStatistics of ${plan.partials}x${channels}`,
        code: JOIN_WGSL,
        constants: {
          count: channels,
          partials: plan.partials,
          most: plan.partialTerms * perLoad,
          elements: plan.terms * perLoad,
        },
        bindings: [partials, out],
        workgroups: linearGrid(channels),
      },
      writes: [out],
    },
  ];
}

function partialsKernel(plan: ChannelPlan): string {
  const bindings = ["read> input: array<Float>", `read_write> partials: array<${columnType(plan)}>`];
  const total = (name: string): string => channelTotalWgsl(name, plan);
  return `${channelHeadWgsl(bindings, plan)}
override elements_of_load: u32;

${CHANNEL_MAIN_WGSL}
  let elements = f32((last - first) * elements_of_load);
${channelSumsWgsl("", "", { elements: "input[address]" })}
  let near = ${total("elements")} / elements;
${
    channelSumsWgsl("", "      let difference = input[address] - near;", {
      differences: "difference",
      squares: "difference * difference",
    })
  }
  let differences = ${total("differences")};
  partials[index] = near + differences / elements;
  partials[count + index] = ${total("squares")} - differences * (differences / elements);
}
`;
}

/** Means and squares of partials, each about its own mean, joined in their order. */
const JOIN_WGSL = `override count: u32; // channels
override partials: u32;
override most: u32; // elements of each partial but the last
override elements: u32;
alias Float = f32;
alias Unsigned = u32;

@group(0) @binding(0) var<storage, read> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

${floatBitsWgsl("f32")}
${opaqueWgsl(1)}
${FLOAT_TOTALS_WGSL}
fn weight_of(part: u32) -> f32 {
  return f32(min(most, elements - part * most));
}

${LINEAR_MAIN_WGSL}
${HIDE_WGSL}
  let length = partials * workgroups.z;
  var means = Total();
  for (var part = 0u; part < length; part++) {
    means = join(means, Total(parts[part * count + index] * weight_of(part), 0.0));
  }
  let near = finish(means) / f32(elements);
  var differences = Total();
  var squares = Total();
  for (var part = 0u; part < length; part++) {
    let weight = weight_of(part);
    let difference = parts[part * count + index] - near;
    differences = join(differences, Total(difference * weight, 0.0));
    squares = join(squares, Total(difference * difference * weight + parts[(partials + part) * count + index], 0.0));
  }
  let shift = finish(differences) / f32(elements);
  let variance = max(finish(squares) / f32(elements) - shift * shift, 0.0);
  out[index] = near + shift;
  // Compilers may assume that there is no NaN, and rounding may have left less than 0.
  let exponent = bitcast<u32>(opaque(near)) & 0x7f800000u;
  out[count + index] = select(variance, from_bits(${NAN_BITS}u), exponent == 0x7f800000u);
}
`;
