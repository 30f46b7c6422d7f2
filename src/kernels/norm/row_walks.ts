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
  /** Loads that one invocation computes in one turn of a loop; they divide those of a row. */
  readonly together: 1 | 2;
}

/** Rows are whole vectors where that also goes for a channel, or where each element is one. */
export function rowWalkOf({ channels, groups, inner }: NormSizes, variant: NormVariant): RowWalk {
  const perGroup = channels / groups;
  const isOfChannels = inner === 1;
  const width = (isOfChannels ? perGroup : inner) % 4 === 0 ? 4 : 1;
  return {
    variant: perGroup * inner <= SHORT ? "row" : variant,
    width,
    isOfChannels,
    together: perGroup * inner / width % 2 === 0 ? 2 : 1,
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

${bindings.map((binding, index) => `@group(0) @binding(${index}) var<${binding};`).join("\n")}

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

/**
 * A loop over the loads of a row: it has \`place\`, which of them, and \`address\`, where it is. One invocation
 * computes two in a turn, where they come out even.
 */
export function walkWgsl(walk: RowWalk, body: string): string {
  if (walk.variant === "row") {
    return `  for (var turn = 0u; turn < length; turn += ${walk.together}u) {
${togetherWgsl(walk, "turn", body)}
  }`;
  }
  return `  for (var place = local; place < length; place += ${ROW_INVOCATIONS}u) {
    let address = first + place;
${body}
  }`;
}

/** Neighbours of a row that are computed in one turn of a loop. */
function togetherWgsl({ together }: RowWalk, begin: string, body: string): string {
  return [...Array(together).keys()].map((index) =>
    `    {
    let place = ${begin} + ${index}u;
    let address = first + place;
${body}
    }`
  ).join("\n");
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
  const add = `${loads}\n${each((name) => `    part_${name} += ${terms[name]};`)}`;
  const begin = each((name) => `    var part_${name} = Float();`);
  const close = each((name) => `    joined_${name} = join(joined_${name}, Total(part_${name}, Float()));`);
  const isShared = walk.variant === "workgroup";
  return `${each((name) => `  var joined_${name} = Total();`)}
${isShared ? sharedSumsWgsl(begin, add, close) : rowSumsWgsl(walk, begin, add, close)}
${isShared ? each((name) => `  joined_${name} = shared_total(joined_${name}, local, workgroups.z);`) : ""}
${
    each((name) =>
      `  let total_${name} = finish(${across(`joined_${name}`)})${walk.width === 4 ? ".x" : ""};`
    )
  }`;
}

/** Eight neighbours at a time. */
function rowSumsWgsl(walk: RowWalk, begin: string, add: string, close: string): string {
  return `  for (var eight = 0u; eight < length; eight += 8u) {
${begin}
    let end = min(eight + 8u, length);
    for (var turn = eight; turn < end; turn += ${walk.together}u) {
${togetherWgsl(walk, "turn", add)}
    }
${close}
  }`;
}

/** Eight at a time of those that are the invocation's. */
function sharedSumsWgsl(begin: string, add: string, close: string): string {
  return `  for (var eight = local; eight < length; eight += ${8 * ROW_INVOCATIONS}u) {
${begin}
    let end = min(eight + ${8 * ROW_INVOCATIONS}u, length);
    for (var place = eight; place < end; place += ${ROW_INVOCATIONS}u) {
      let address = first + place;
${add}
    }
${close}
  }`;
}

/** What each channel has one of, as kernels bind it. */
export interface ChannelBindings<B> {
  readonly weight?: B | undefined;
  readonly bias?: B | undefined;
  /** Weight and bias, those that there are, one behind the other in a uniform buffer, and bound in place of them. */
  readonly packed?: B | undefined;
}

/** How a kernel reads what each channel has one of. */
export interface ChannelReads {
  /** Declarations of its bindings. */
  readonly declared: readonly string[];
  /** The weight and the bias of \`place\`, as WGSL; nothing where there is none. */
  readonly weight: string | undefined;
  readonly bias: string | undefined;
}

/** @param channels Of the tensor. */
export function channelReads<B>(
  { weight, bias, packed }: ChannelBindings<B>,
  { isOfChannels }: RowWalk,
  channels: number,
): ChannelReads {
  const has = { weight: weight !== undefined, bias: bias !== undefined };
  if (packed !== undefined) {
    const vectors = channels / 4 * (Number(has.weight) + Number(has.bias));
    return {
      declared: [`uniform> packed: array<vec4<f32>, ${vectors}>`],
      weight: has.weight ? "packed[place]" : undefined,
      bias: has.bias ? `packed[${has.weight ? "terms + " : ""}place]` : undefined,
    };
  }
  const at = isOfChannels ? "first_channel + place" : "first_channel + place / inner";
  const read = (name: string): string => isOfChannels ? `${name}[${at}]` : `Float(${name}[${at}])`;
  const type = isOfChannels ? "Float" : "f32";
  return {
    declared: Object.entries(has).flatMap(([name, isThere]) =>
      isThere ? [`storage, read> ${name}: array<${type}>`] : []
    ),
    weight: has.weight ? read("weight") : undefined,
    bias: has.bias ? read("bias") : undefined,
  };
}

/** Those that a kernel with {@link channelReads} binds. */
export function channelBindings<B>({ weight, bias, packed }: ChannelBindings<B>): B[] {
  const bound = packed === undefined ? [weight, bias] : [packed];
  return bound.flatMap((binding) => binding === undefined ? [] : [binding]);
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
