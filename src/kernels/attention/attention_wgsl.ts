import { floatBitsWgsl } from "../float_bits.ts";
import { each } from "../matmul/matmul_layout.ts";
import { PHILOX_WGSL } from "../random/philox_wgsl.ts";
import { STEP_SCALARS_WGSL } from "../step_scalars.ts";
import { type AttentionManner, type AttentionVariant, vectorsOf } from "./attention_sizes.ts";

/** Declares `attentionConstants`. */
const CONSTANTS_WGSL = `override query_heads: u32;
override key_heads: u32; // of all batches
override group: u32; // query heads that share a head of keys
override queries: u32;
override keys: u32;
override scale: f32;
override mask_batch: u32;
override mask_head: u32;
override mask_query: u32;
override mask_key: u32;
override dropped_below: u32;
override kept_scale: f32;
override stream: u32;`;

/** An exponential that keeps NaN. */
export const EXPONENTIAL_WGSL = `fn exp_of(x: f32) -> f32 {
  return select(exp(x), x, is_nan(x));
}
`;

/**
 * What all kernels of an attention share: constants, the mask, dropout, and an exponential that keeps NaN. Bindings
 * from `firstBinding` on are the mask's and the step's scalars, as {@link extraBindings} lists them.
 */
export function attentionWgsl(manner: AttentionManner, firstBinding: number): string {
  return [
    CONSTANTS_WGSL,
    floatBitsWgsl("f32"),
    EXPONENTIAL_WGSL,
    ...manner.mask === "none" ? [] : [maskWgsl(manner.mask, firstBinding)],
    ...manner.drops ? [dropoutWgsl(firstBinding + (manner.mask === "none" ? 0 : 1))] : [],
  ].join("\n\n");
}

/** What {@link attentionWgsl} binds. */
export function extraBindings<B>(
  manner: AttentionManner,
  { mask, scalars }: { readonly mask?: B | undefined; readonly scalars?: B | undefined },
): B[] {
  const bound = [manner.mask === "none" ? undefined : mask, manner.drops ? scalars : undefined];
  return bound.filter((binding) => binding !== undefined);
}

function maskWgsl(mask: "shown" | "added", binding: number): string {
  return `@group(0) @binding(${binding}) var<storage, read> mask: array<${mask === "shown" ? "u32" : "f32"}>;

// The head counts those of all batches.
fn mask_of(head: u32, query: u32, key: u32) -> ${mask === "shown" ? "u32" : "f32"} {
  let place = head / query_heads * mask_batch + head % query_heads * mask_head;
  return mask[place + query * mask_query + key * mask_key];
}`;
}

function dropoutWgsl(binding: number): string {
  return `${STEP_SCALARS_WGSL}
@group(0) @binding(${binding}) var<uniform> scalars: StepScalars;

${PHILOX_WGSL}
// What a weight is multiplied by: 0, or what makes up for those that are. A function of its place in [heads, queries,
// keys] of the whole batch.
fn kept(head: u32, query: u32, key: u32) -> f32 {
  let row = (scalars.first_example * query_heads + head) * queries + query;
  let counter = vec4<u32>(key / 4u, scalars.step, stream, row);
  let words = philox(counter, vec2<u32>(scalars.seed_low, scalars.seed_high));
  return select(kept_scale, 0.0, words[key % 4u] < dropped_below);
}`;
}

/**
 * Whether there may be keys that a query does not see. A mask that is added hides by -Infinity, which the weight
 * tells.
 */
export function hides({ isCausal, mask }: AttentionManner): boolean {
  return isCausal || mask === "shown";
}

/**
 * Lines that leave `is_hidden` and `score` of a query and a key, given the product `dot` of both, scaled: whether the
 * query sees the key, and how it rates it.
 */
export function scoreLines(
  manner: AttentionManner,
  { dot, head, query, key, suffix }: Readonly<Record<"dot" | "head" | "query" | "key" | "suffix", string>>,
): string[] {
  const hidden = [
    ...manner.isCausal ? [`${key} > ${query}`] : [],
    ...manner.mask === "shown" ? [`mask_of(${head}, ${query}, ${key}) == 0u`] : [],
  ];
  const added = manner.mask === "added" ? ` + mask_of(${head}, ${query}, ${key})` : "";
  return [
    `let is_hidden${suffix} = ${hidden.length === 0 ? "false" : hidden.join(" || ")};`,
    `let score${suffix} = ${dot}${added};`,
  ];
}

/**
 * Lines that declare `name_0` and so on, `vectors` of them, as what `load` gives of each. A load from memory and a
 * store become hundreds of instructions on a CPU adapter, so that its variant has one of each in a loop: 16 vectors
 * written out take a second to compile. The loop's end is not a constant, as compilers would write it out again.
 */
export function loadedLines(
  variant: AttentionVariant,
  name: string,
  vectors: number,
  load: (vector: string) => string,
): string[] {
  if (variant === "tile") return each(vectors, (v) => `let ${name}_${v} = ${load(`${v}u`)};`);
  return [
    `var ${name}_loaded = array<vec4<f32>, ${vectors}>();`,
    ...loopLines(vectors, `${name}_loaded[vector] = ${load("vector")};`),
    ...each(vectors, (v) => `let ${name}_${v} = ${name}_loaded[${v}u];`),
  ];
}

/**
 * Lines that declare variables `name_0` and so on for sums: of 0, or of what another dispatch left where `goesOn` says
 * that this one goes on from there. Without `goesOn` there is nothing to load, and less to compile.
 */
export function begunLines(
  name: string,
  vectors: number,
  load: (vector: string) => string,
  goesOn: string | undefined,
): string[] {
  if (goesOn === undefined) return each(vectors, (v) => `var ${name}_${v} = vec4<f32>();`);
  return [
    `var ${name}_loaded = array<vec4<f32>, ${vectors}>();`,
    `if ${goesOn} {`,
    ...loopLines(vectors, `${name}_loaded[vector] = ${load("vector")};`).map((line) => `  ${line}`),
    "}",
    ...each(vectors, (v) => `var ${name}_${v} = ${name}_loaded[${v}u];`),
  ];
}

/** Lines that hand `name_0` and so on to `store`, in a loop where {@link loadedLines} has one. */
export function storedLines(
  variant: AttentionVariant,
  name: string,
  vectors: number,
  store: (vector: string, elements: string) => string,
): string[] {
  if (variant === "tile") return each(vectors, (v) => store(`${v}u`, `${name}_${v}`));
  return [
    `var ${name}_stored = array<vec4<f32>, ${vectors}>(${each(vectors, (v) => `${name}_${v}`).join(", ")});`,
    ...loopLines(vectors, store("vector", `${name}_stored[vector]`)),
  ];
}

function loopLines(vectors: number, line: string): string[] {
  return [`for (var vector = 0u; vector < ${vectors}u * workgroups.z; vector++) {`, `  ${line}`, "}"];
}

/** Declares `load_name(row, vector)`, which reads a row of `width` elements as vectors, with zeros behind. */
export function loadRowWgsl(name: string, binding: number, width: number, access = "read"): string {
  const vectors = vectorsOf(width);
  const isWhole = width % 4 === 0;
  const body = isWhole
    ? `  return ${name}[row * ${vectors}u + vector];`
    : `  let first = row * ${width}u + vector * 4u;
  let left = ${width}u - vector * 4u;
  return vec4<f32>(
    ${name}[first],
    select(0.0, ${name}[first + min(1u, left - 1u)], left > 1u),
    select(0.0, ${name}[first + min(2u, left - 1u)], left > 2u),
    select(0.0, ${name}[first + min(3u, left - 1u)], left > 3u),
  );`;
  return `@group(0) @binding(${binding}) var<storage, ${access}> ${name}: array<${
    isWhole ? "vec4<f32>" : "f32"
  }>;

fn load_${name}(row: u32, vector: u32) -> vec4<f32> {
${body}
}
`;
}

/** As {@link loadRowWgsl}, with `store_name(row, vector, elements)` besides. */
export function storeRowWgsl(name: string, binding: number, width: number): string {
  const vectors = vectorsOf(width);
  const body = width % 4 === 0
    ? `  ${name}[row * ${vectors}u + vector] = elements;`
    : `  let first = row * ${width}u + vector * 4u;
  let left = ${width}u - vector * 4u;
  ${name}[first] = elements.x;
  if (left > 1u) { ${name}[first + 1u] = elements.y; }
  if (left > 2u) { ${name}[first + 2u] = elements.z; }
  if (left > 3u) { ${name}[first + 3u] = elements.w; }`;
  return `${loadRowWgsl(name, binding, width, "read_write")}
fn store_${name}(row: u32, vector: u32, elements: vec4<f32>) {
${body}
}
`;
}

/**
 * The entry point of a kernel whose invocations have `rowsEach` rows each, up to the number of the first one of the
 * workgroup. A dispatch has so many `heads`.
 */
export function mainWgsl(invocations: number, heads: string, rowsEach: number): string {
  return `@compute @workgroup_size(${invocations})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = workgroup.y * workgroups.x + workgroup.x;
  let launch_head = index / tiles;
  if (launch_head >= ${heads}) {
    return;
  }
  let first_own = index % tiles * ${invocations * rowsEach}u;`;
}

/** Declares what `mainWgsl` goes by, besides the constants of an attention. */
export const LAUNCH_WGSL: string = `override tiles: u32; // of a head`;
