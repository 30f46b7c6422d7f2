import { LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import type { ComputeDType } from "../elementwise/expression.ts";
import { HIDE_WGSL } from "../opaque.ts";
import { requireElements, requireSizes } from "../sizes.ts";
import type { ReduceStep } from "./reduce.ts";
import { carriesError, totalsWgsl } from "./reduction_totals.ts";

/** Sums along `reduced` of a tensor `[outer, reduced, inner]`. */
export interface CumsumOptions {
  readonly outer: number;
  readonly reduced: number;
  readonly inner: number;
  readonly dtype: ComputeDType;
  /** Whether the sums begin at the end. */
  readonly isReverse: boolean;
}

/** Up to this length, and with this many rows at any, one invocation walks a row. */
const SHORT = 1024;
const MANY_ROWS = 8192;

/** Terms of a span of a longer row, at least. */
const SPAN = 256;

/**
 * `out[t] = Σ input[0..t]` along `reduced`, or from the end, in the order of the terms. Sums of f32 carry along what
 * rounding took: each is off by at most 2^-22 of the sum of the magnitudes up to it. Integers wrap.
 *
 * Long rows are cut into spans: their sums, the sums of those before each, and then each span from there on. The cut
 * depends on the sizes only, because it decides the last bits.
 */
export function cumsum<B>(
  bindings: { readonly input: B; readonly out: B },
  options: CumsumOptions,
  scratch: (byteLength: number) => B,
): ReduceStep<B>[] {
  const { outer, reduced, inner, dtype } = options;
  requireSizes("cumsum", { outer, reduced, inner });
  requireElements("cumsum", [outer, reduced, inner]);
  const rows = outer * inner;
  const isWhole = reduced <= SHORT || rows >= MANY_ROWS;
  const spanTerms = isWhole ? Math.max(reduced, 1) : Math.max(SPAN, Math.ceil(Math.sqrt(reduced)));
  const spans = Math.max(Math.ceil(reduced / spanTerms), 1);
  const constants = { reduced, inner, spans, span_terms: spanTerms };
  const label = `cumsum ${outer}x${reduced}x${inner}`;
  const walk = (pass: Pass, count: number, bound: readonly B[], out: B): ReduceStep<B> => ({
    dispatch: {
      label: `${label} ${pass}`,
      code: cumsumWgsl(pass, options, isWhole),
      constants: { ...constants, count },
      bindings: bound,
      workgroups: reduced === 0 ? [0, 0, 0] : linearGrid(count),
    },
    out,
  });
  if (isWhole) return [walk("walk", rows, [bindings.input, bindings.out], bindings.out)];
  const byteLength = 4 * rows * spans * (carriesError("sum", dtype) ? 2 : 1);
  const [totals, starts] = [scratch(byteLength), scratch(byteLength)];
  return [
    walk("totals", rows * spans, [bindings.input, totals], totals),
    walk("starts", rows, [totals, starts], starts),
    walk("walk", rows * spans, [bindings.input, starts, bindings.out], bindings.out),
  ];
}

/** `totals`: the sum of each span. `starts`: the sum of all spans before each. `walk`: the sums themselves. */
type Pass = "totals" | "starts" | "walk";

function cumsumWgsl(pass: Pass, { dtype, isReverse }: CumsumOptions, isWhole: boolean): string {
  const isCarried = carriesError("sum", dtype);
  const [loaded, stored] = isCarried
    ? ["Total(NAME[at], NAME[at + all])", "NAME[at] = total.sum;\n    NAME[at + all] = total.lost;"]
    : ["NAME[at]", "NAME[at] = total;"];
  const bind = (index: number, name: string, access: string) =>
    `@group(0) @binding(${index}) var<storage, ${access}> ${name}: array<${dtype}>;`;
  const head = `override count: u32;
override reduced: u32;
override inner: u32;
override spans: u32;
override span_terms: u32;
`;
  if (pass === "starts") {
    return `${head}
${bind(0, "totals", "read")}
${bind(1, "starts", "read_write")}

${totalsWgsl("sum", dtype)}
${LINEAR_MAIN_WGSL}
${HIDE_WGSL}
  let all = count * spans;
  let length = spans * workgroups.z;
  var total = nothing();
  for (var span = 0u; span < length; span++) {
    let at = index * spans + span;
    ${stored.replaceAll("NAME", "starts")}
    total = join(total, ${loaded.replaceAll("NAME", "totals")});
  }
}
`;
  }
  const isWalk = pass === "walk";
  const outBinding = isWalk && !isWhole ? 2 : 1;
  return `${head}
${bind(0, "input", "read")}
${isWalk && !isWhole ? bind(1, "starts", "read") : ""}
${bind(outBinding, isWalk ? "out" : "totals", "read_write")}

${totalsWgsl("sum", dtype)}
// Rows are [outer, inner]; the spans of a row lie side by side.
${LINEAR_MAIN_WGSL}
${HIDE_WGSL}
  let row = index / spans;
  let first = row / inner * reduced * inner + row % inner;
  let begin = index % spans * span_terms;
  let end = min(begin + span_terms * workgroups.z, reduced);
  let at = index;
  let all = count;
  var total = ${isWalk && !isWhole ? loaded.replaceAll("NAME", "starts") : "nothing()"};
  for (var term = begin; term < end; term++) {
    let address = first + ${isReverse ? "(reduced - 1u - term)" : "term"} * inner;
    total = join(total, total_of(input[address]));
${isWalk ? "    out[address] = finish(total);" : ""}
  }
${isWalk ? "" : `  ${stored.replaceAll("NAME", "totals")}`}
}
`;
}
