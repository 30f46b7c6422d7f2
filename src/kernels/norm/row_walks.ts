import { LINEAR_MAIN_WGSL, workgroupMainWgsl } from "../../gpu/dispatch.ts";
import { floatBitsWgsl } from "../float_bits.ts";
import { ACROSS_TOTALS_WGSL, FLOAT_TOTALS_WGSL } from "../float_totals.ts";
import { HIDE_WGSL, opaqueWgsl } from "../opaque.ts";
import type { NormSizes, NormVariant } from "./norm_sizes.ts";

// WGSL that walks rows, for the kernels that normalise them.

/** Up to this length a row is walked by one invocation. */
const SHORT = 128;

/** Invocations of a workgroup of the variant `workgroup`. */
export const ROW_INVOCATIONS = 128;

/** How a kernel walks its rows. */
export interface RowWalk {
  readonly variant: NormVariant;
  /** Neighbours that are loaded at once. */
  readonly width: 1 | 4;
  /** Whether each element of a row is a channel; otherwise as many neighbours as `inner` are one. */
  readonly isOfChannels: boolean;
}

/** Rows are whole vectors where that also goes for a channel, or where each element is one. */
export function rowWalkOf({ channels, groups, inner }: NormSizes, variant: NormVariant): RowWalk {
  const perGroup = channels / groups;
  const isOfChannels = inner === 1;
  return {
    variant: perGroup * inner <= SHORT ? "row" : variant,
    width: (isOfChannels ? perGroup : inner) % 4 === 0 ? 4 : 1,
    isOfChannels,
  };
}

/** The override constants that {@link rowHeadWgsl} declares. */
export function rowConstants(
  { batch, channels, groups, inner }: NormSizes,
  { width, isOfChannels }: RowWalk,
): Record<string, number> {
  const perGroup = channels / groups;
  return {
    count: batch * groups,
    terms: perGroup * inner / width,
    elements: perGroup * inner,
    groups,
    channels: isOfChannels ? perGroup / width : perGroup,
    inner: isOfChannels ? 1 : inner / width,
  };
}

/** What stands before the entry point. `bindings` are declarations. */
export function rowHeadWgsl(bindings: readonly string[], { variant, width }: RowWalk): string {
  const float = width === 1 ? "f32" : "vec4<f32>";
  return `override count: u32; // rows
override terms: u32; // loads of a row
override elements: f32; // of a row
override groups: u32;
override channels: u32; // of a group; in loads where each element is one
override inner: u32; // loads of a channel
alias Float = ${float};
alias Unsigned = ${float.replace("f32", "u32")};

${bindings.map((binding, index) => `@group(0) @binding(${index}) var<storage, ${binding};`).join("\n")}

${floatBitsWgsl(float)}
${opaqueWgsl(width)}
${FLOAT_TOTALS_WGSL}
${width === 4 ? ACROSS_TOTALS_WGSL : ""}
${variant === "workgroup" ? SHARED_WGSL : ""}`;
}

/** The head of the entry point: it leaves `index`, the row, and \`first\`, where it begins. */
export function rowMainWgsl({ variant }: RowWalk): string {
  const main = variant === "row" ? LINEAR_MAIN_WGSL : `${workgroupMainWgsl(ROW_INVOCATIONS, "index")}
  if (index >= count) {
    return;
  }`;
  return `${main}
${HIDE_WGSL}
  // No constant: compilers for CPU adapters unroll loops of a constant length, which takes them a hundred times longer.
  let length = terms * workgroups.z;
  let first = index * terms;
  let first_channel = index % groups * channels;`;
}

/** A loop over the loads of a row: it has \`place\`, which of them, and \`address\`, where it is. */
export function walkWgsl({ variant }: RowWalk, body: string): string {
  const [begin, step] = variant === "row" ? ["0u", "1u"] : ["local", `${ROW_INVOCATIONS}u`];
  return `  for (var place = ${begin}; place < length; place += ${step}) {
    let address = first + place;
${body}
  }`;
}

/**
 * Sums over a row, by name, of terms that \`loads\` are needed for: it leaves \`total_name\`, an f32, for each. They
 * are off by at most 8 roundings of the sum of the magnitudes: eight terms are added as they are, and from then on
 * what rounding took is carried along.
 */
export function sumsWgsl(walk: RowWalk, loads: string, terms: Readonly<Record<string, string>>): string {
  const names = Object.keys(terms);
  const each = (line: (name: string) => string): string => names.map(line).join("\n");
  const across = (joined: string): string => walk.width === 4 ? `across_total(${joined})` : joined;
  const close = (name: string, indent: string): string =>
    `${indent}joined_${name} = join(joined_${name}, Total(part_${name}, Float()));`;
  return `${each((name) => `  var joined_${name} = Total();\n  var part_${name} = Float();`)}
  var open_${names.join("_")} = 0u;
${
    walkWgsl(
      walk,
      `${loads}
${each((name) => `    part_${name} += ${terms[name]};`)}
    open_${names.join("_")} += 1u;
    if (open_${names.join("_")} == 8u) {
${each((name) => `${close(name, "      ")}\n      part_${name} = Float();`)}
      open_${names.join("_")} = 0u;
    }`,
    )
  }
${each((name) => close(name, "  "))}
${
    walk.variant === "workgroup"
      ? each((name) => `  joined_${name} = shared_total(joined_${name}, local, workgroups.z);`)
      : ""
  }
${
    each((name) =>
      `  let total_${name} = finish(${across(`joined_${name}`)})${walk.width === 4 ? ".x" : ""};`
    )
  }`;
}

/** The element of `binding`, which has one for each channel, that belongs to \`place\`. */
export function ofChannelWgsl(binding: string, { isOfChannels }: RowWalk): string {
  return isOfChannels
    ? `${binding}[first_channel + place]`
    : `Float(${binding}[first_channel + place / inner])`;
}

/** How a binding with one element for each channel is declared. */
export function channelBinding(name: string, { isOfChannels }: RowWalk): string {
  return `read> ${name}: array<${isOfChannels ? "Float" : "f32"}>`;
}

/** \`one\` is 1: no constant, so that no compiler unrolls the loop. */
const SHARED_WGSL = `var<workgroup> totals: array<Total, ${ROW_INVOCATIONS}>;

// What all invocations have, joined in pairs.
fn shared_total(own: Total, local: u32, one: u32) -> Total {
  totals[local] = own;
  for (var half = ${ROW_INVOCATIONS / 2}u * one; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local < half) {
      totals[local] = join(totals[local], totals[local + half]);
    }
  }
  workgroupBarrier();
  let all = totals[0];
  workgroupBarrier();
  return all;
}
`;
