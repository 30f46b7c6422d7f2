import { LINEAR_MAIN_WGSL } from "../../gpu/dispatch.ts";
import { ACROSS_TOTALS_WGSL, FLOAT_TOTALS_WGSL } from "../float_totals.ts";
import { HIDE_WGSL, opaqueWgsl } from "../opaque.ts";

// How kernels sum up what lies in each channel of a tensor `[batch, channels, inner]`: in partials, in a fixed order.

/** The sizes of a tensor whose channels are summed up. */
export type ChannelSizes = { readonly batch: number; readonly channels: number; readonly inner: number };

/** Invocations that keep a large GPU busy, and terms that are worth one. */
const ENOUGH_INVOCATIONS = 32_768;
const TERMS_FOR_AN_INVOCATION = 256;

/**
 * How channels are summed up. A *load* is an element, four neighbouring channels where `inner` is 1, or four neighbours
 * of one channel.
 */
export interface ChannelPlan {
  readonly width: 1 | 4;
  /** Whether a load has four channels. */
  readonly isOfChannels: boolean;
  /** Invocations that the channels take, for each partial. */
  readonly columns: number;
  /** Loads of a channel. */
  readonly terms: number;
  /** Loads of a partial; the last has fewer where they do not come out even. */
  readonly partialTerms: number;
  readonly partials: number;
}

/** It depends on the sizes only, because it decides the last bits. */
export function planChannels({ batch, channels, inner }: ChannelSizes): ChannelPlan {
  const isOfChannels = inner === 1 && channels % 4 === 0;
  const width = isOfChannels || inner % 4 === 0 ? 4 : 1;
  const columns = isOfChannels ? channels / 4 : channels;
  const terms = batch * inner / (isOfChannels ? 1 : width);
  const enough = Math.ceil(ENOUGH_INVOCATIONS / Math.max(columns, 1));
  const wanted = Math.max(1, Math.min(enough, Math.floor(terms / TERMS_FOR_AN_INVOCATION)));
  const partialTerms = Math.max(1, Math.ceil(terms / wanted));
  return {
    width,
    isOfChannels,
    columns,
    terms,
    partialTerms,
    partials: Math.max(1, Math.ceil(terms / partialTerms)),
  };
}

/** The override constants that {@link channelHeadWgsl} declares. */
export function channelConstants(
  { channels, inner }: ChannelSizes,
  { width, isOfChannels, columns, terms, partialTerms, partials }: ChannelPlan,
): Record<string, number> {
  return {
    count: columns * partials,
    columns,
    terms,
    partial_terms: partialTerms,
    stride: isOfChannels ? columns : channels * inner / width,
    inner: isOfChannels ? 1 : inner / width,
  };
}

/** What stands before the entry point. `bindings` are declarations. */
export function channelHeadWgsl(bindings: readonly string[], { width }: ChannelPlan): string {
  const float = width === 1 ? "f32" : "vec4<f32>";
  return `override count: u32; // columns * partials
override columns: u32;
override terms: u32; // loads of a channel
override partial_terms: u32;
override stride: u32; // loads from an example to the next
override inner: u32; // loads of a channel in an example
alias Float = ${float};
alias Unsigned = ${float.replace("f32", "u32")};

${bindings.map((binding, index) => `@group(0) @binding(${index}) var<storage, ${binding};`).join("\n")}

${opaqueWgsl(width)}
${FLOAT_TOTALS_WGSL}
${width === 4 ? ACROSS_TOTALS_WGSL : ""}`;
}

/** The head of the entry point: it leaves \`column\`, and from which load to which the partial goes. */
export const CHANNEL_MAIN_WGSL: string = `${LINEAR_MAIN_WGSL}
${HIDE_WGSL}
  let column = index % columns;
  let first = index / columns * partial_terms;
  let last = min(first + partial_terms, terms);`;

/**
 * A loop over the loads of a partial, example by example: \`before\` has \`example\`, and \`body\` also \`address\`,
 * where a load is.
 */
export function channelWalkWgsl(before: string, body: string): string {
  return `  for (var term = first; term < last;) {
    let example = term / inner;
    let offset = term - example * inner;
    let run = min(inner - offset, last - term);
    let begin = example * stride + column * inner + offset;
${before}
    for (var address = begin; address < begin + run; address++) {
${body}
    }
    term += run;
  }`;
}

/** Sums of the terms of a partial, by name: it leaves the totals \`joined_name\`, exact to 8 roundings. */
export function channelSumsWgsl(
  before: string,
  loads: string,
  terms: Readonly<Record<string, string>>,
): string {
  const names = Object.keys(terms);
  const each = (line: (name: string) => string): string => names.map(line).join("\n");
  const open = `open_${names.join("_")}`;
  return `${each((name) => `  var joined_${name} = Total();\n  var part_${name} = Float();`)}
  var ${open} = 0u;
${
    channelWalkWgsl(
      before,
      `${loads}
${each((name) => `      part_${name} += ${terms[name]};`)}
      ${open} += 1u;
      if (${open} == 8u) {
${
        each((name) =>
          `        joined_${name} = join(joined_${name}, Total(part_${name}, Float()));\n        part_${name} = Float();`
        )
      }
        ${open} = 0u;
      }`,
    )
  }
${each((name) => `  joined_${name} = join(joined_${name}, Total(part_${name}, Float()));`)}`;
}

/** The result of a total as it is stored: four channels, or one number. */
export function channelTotalWgsl(name: string, { width, isOfChannels }: ChannelPlan): string {
  return width === 4 && !isOfChannels ? `finish(across_total(joined_${name})).x` : `finish(joined_${name})`;
}

/** The type of what is stored for a column. */
export function columnType({ isOfChannels }: ChannelPlan): string {
  return isOfChannels ? "Float" : "f32";
}
