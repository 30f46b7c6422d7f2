import { type Dispatch, gridFor, LINEAR_MAIN_WGSL, linearGrid } from "./dispatch.ts";
import type { ComputeDType } from "./expression.ts";
import { fill } from "./fill.ts";
import { floatBitsWgsl, MINUS_INFINITY_BITS } from "./float_bits.ts";
import { requireElements, requireSizes } from "./sizes.ts";

/** `max` of numbers and a NaN is NaN, as in PyTorch. `mean` is for `f32`. */
export type ReduceOp = "sum" | "max" | "mean";

/**
 * `sequential`: one invocation for each result. `tree`: a workgroup for each, whose invocations add up parts that are then
 * added in pairs.
 */
export type ReduceVariant = "sequential" | "tree";

/** A tensor seen as `[outer, reduced, inner]`, row-major. */
export interface ReduceOptions {
  readonly op: ReduceOp;
  readonly outer: number;
  readonly reduced: number;
  readonly inner: number;
  /** Of the input and the output. Default "f32". */
  readonly dtype?: ComputeDType;
  /** Default: "tree" for few long sums. It depends on the sizes only, because it decides the last bits. */
  readonly variant?: ReduceVariant;
}

/** Terms that a sequential sum adds up on their own first, so that its error grows 128 times slower. */
const BLOCK = 128;
const TREE_INVOCATIONS = 128;

/**
 * Reduces `input` `[outer, reduced, inner]` over its middle: `out` is `[outer, inner]`.
 *
 * The order of the additions depends on sizes and variant only, so equal inputs give equal bits. The sum of nothing is 0, its mean is
 * NaN. Throws `RangeError` for the maximum of nothing and `TypeError` for the mean of integers.
 */
export function reduce<B>(
  bindings: { readonly input: B; readonly out: B },
  options: ReduceOptions,
): Dispatch<B> {
  const { op, outer, reduced, inner, dtype = "f32" } = options;
  requireSizes("reduce", { outer, reduced, inner });
  requireElements("reduce", [outer, reduced, inner]);
  const count = requireElements("reduce", [outer, inner]);
  if (op === "mean" && dtype !== "f32") {
    throw new TypeError(`reduce: the mean of ${dtype} is no ${dtype}; cast to f32`);
  }
  if (op === "max" && reduced === 0 && count > 0) throw new RangeError("reduce: nothing has no maximum");
  // Not by dividing: Mesa drops the store of a result that it knows to be 0 / 0.
  if (op === "mean" && reduced === 0) return fill({ out: bindings.out }, { count, value: NaN });
  const variant = options.variant ?? (count < 64 && reduced > 1024 ? "tree" : "sequential");
  const isTree = variant === "tree";
  return {
    label: `reduce ${op} ${outer}x${reduced}x${inner} ${variant}`,
    code: `${declarations(op, dtype)}
${isTree ? TREE_WGSL : SEQUENTIAL_WGSL}`,
    constants: { count, reduced, inner },
    bindings: [bindings.input, bindings.out],
    workgroups: isTree ? gridFor(count) : linearGrid(count),
  };
}

/** The types and functions that the variants are written in. */
function declarations(op: ReduceOp, dtype: ComputeDType): string {
  return `override count: u32;
override reduced: u32;
override inner: u32;

alias Element = ${dtype};

@group(0) @binding(0) var<storage, read> input: array<Element>;
@group(0) @binding(1) var<storage, read_write> out: array<Element>;

${floatBitsWgsl("f32")}
fn first_value() -> Element {
  return ${op === "max" ? LOWEST[dtype] : "Element()"};
}

fn combine(a: Element, b: Element) -> Element {
  return ${op !== "max" ? "a + b" : dtype === "f32" ? MAX_OR_NAN : "max(a, b)"};
}

fn finish(total: Element) -> Element {
  return ${op === "mean" ? "total / f32(reduced)" : "total"};
}

fn element_at(output: u32, term: u32) -> Element {
  return input[(output / inner * reduced + term) * inner + output % inner];
}
`;
}

const MAX_OR_NAN = "select(select(max(a, b), b, is_nan(b)), a, is_nan(a))";

const LOWEST: Readonly<Record<ComputeDType, string>> = {
  f32: `from_bits(0x${MINUS_INFINITY_BITS.toString(16)}u)`,
  i32: "-2147483647 - 1",
  u32: "0u",
};

const SEQUENTIAL_WGSL = `${LINEAR_MAIN_WGSL}
  var total = first_value();
  for (var start = 0u; start < reduced; start += ${BLOCK}u) {
    var part = first_value();
    for (var term = start; term < min(start + ${BLOCK}u, reduced); term++) {
      part = combine(part, element_at(index, term));
    }
    total = combine(total, part);
  }
  out[index] = finish(total);
}
`;

const TREE_WGSL = `var<workgroup> parts: array<Element, ${TREE_INVOCATIONS}>;

@compute @workgroup_size(${TREE_INVOCATIONS})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = workgroup.y * workgroups.x + workgroup.x;
  if (index >= count) {
    return;
  }
  var part = first_value();
  for (var term = local; term < reduced; term += ${TREE_INVOCATIONS}u) {
    part = combine(part, element_at(index, term));
  }
  parts[local] = part;
  for (var half = ${TREE_INVOCATIONS / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local < half) {
      parts[local] = combine(parts[local], parts[local + half]);
    }
  }
  if (local == 0u) {
    out[index] = finish(parts[0]);
  }
}
`;
