import type { ComputeDType } from "../elementwise/expression.ts";
import { floatBitsWgsl, MINUS_INFINITY_BITS } from "../float_bits.ts";
import { carriedTotalWgsl } from "../float_totals.ts";
import { opaqueWgsl } from "../opaque.ts";

/** `max` and `min` of numbers and a NaN are NaN, as in PyTorch. `mean` is for `f32`. */
export type ReduceOp = "sum" | "max" | "min" | "mean" | "prod";

/** Sums of f32 carry what rounding took from them: between two dispatches they are two numbers, all sums first. */
export function carriesError(op: ReduceOp, dtype: ComputeDType): boolean {
  return dtype === "f32" && (op === "sum" || op === "mean");
}

/**
 * WGSL of the arithmetic of a reduction: the types `Element` and `Total`; `nothing()`, the total of no term;
 * `total_of(element)`; `combine` of two elements and `join` of two totals; `finish(total)`, the element that is the
 * result. The entry point has to begin with `HIDE_WGSL`, and the source has to declare `all_terms`.
 */
export function totalsWgsl(op: ReduceOp, dtype: ComputeDType): string {
  return `alias Element = ${dtype};
${opaqueWgsl(1)}
${floatBitsWgsl("f32")}
fn combine(a: Element, b: Element) -> Element {
  return ${combination(op, dtype)};
}

${carriesError(op, dtype) ? carriedTotals(op) : plainTotals(op, dtype)}`;
}

function combination(op: ReduceOp, dtype: ComputeDType): string {
  if (op === "sum" || op === "mean") return "a + b";
  if (op === "prod") return "a * b";
  return dtype === "f32" ? `select(select(${op}(a, b), b, is_nan(b)), a, is_nan(a))` : `${op}(a, b)`;
}

/** What rounding took is added only at the end, and not when the sum left the finite numbers: it is NaN then. */
function carriedTotals(op: ReduceOp): string {
  return `${carriedTotalWgsl("Element")}
fn nothing() -> Total {
  return Total(Element(), Element());
}

fn total_of(element: Element) -> Total {
  return Total(element, Element());
}

fn finish(total: Total) -> Element {
  let is_finite = (bitcast<u32>(total.sum) & 0x7f800000u) != 0x7f800000u;
  let sum = select(total.sum, total.sum + total.lost, is_finite);
  return ${op === "mean" ? "select(sum / f32(all_terms), sum, all_terms == 1u)" : "sum"};
}
`;
}

function plainTotals(op: ReduceOp, dtype: ComputeDType): string {
  return `alias Total = Element;

fn nothing() -> Total {
  return Element(${beginning(op, dtype)});
}

fn total_of(element: Element) -> Total {
  return element;
}

fn join(a: Total, b: Total) -> Total {
  return combine(a, b);
}

fn finish(total: Total) -> Element {
  return total;
}
`;
}

/** What changes no total that it is combined with. */
function beginning(op: ReduceOp, dtype: ComputeDType): string {
  if (op === "prod") return "1";
  return op === "sum" || op === "mean" ? "" : EXTREMES[op === "max" ? "lowest" : "highest"][dtype];
}

const EXTREMES: Readonly<Record<"lowest" | "highest", Readonly<Record<ComputeDType, string>>>> = {
  lowest: {
    f32: `from_bits(0x${MINUS_INFINITY_BITS.toString(16)}u)`,
    i32: "-2147483647 - 1",
    u32: "0u",
  },
  highest: { f32: "from_bits(0x7f800000u)", i32: "2147483647", u32: "0xffffffffu" },
};
