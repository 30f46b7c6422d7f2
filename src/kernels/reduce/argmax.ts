import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import type { ComputeDType } from "../elementwise/expression.ts";
import { floatBitsWgsl } from "../float_bits.ts";
import { requireElements, requireSizes } from "../sizes.ts";

/** What is looked for along `reduced` of a tensor `[outer, reduced, inner]`, row-major. */
export interface ArgmaxOptions {
  readonly outer: number;
  readonly reduced: number;
  readonly inner: number;
  /** Default "f32". */
  readonly dtype?: ComputeDType;
  /** Whether the smallest is looked for. Default false. */
  readonly isSmallest?: boolean;
}

/**
 * Where, along `reduced`, the largest or smallest element is: `out` is `[outer, inner]`, u32.
 *
 * Of equals the first, and of NaNs the first, which count as what is looked for, as in PyTorch. One invocation walks
 * each row. Throws `RangeError` when there is nothing to choose from.
 */
export function argmax<B>(
  bindings: { readonly input: B; readonly out: B },
  options: ArgmaxOptions,
): Dispatch<B> {
  const { outer, reduced, inner, dtype = "f32", isSmallest = false } = options;
  const name = isSmallest ? "argmin" : "argmax";
  requireSizes(name, { outer, reduced, inner });
  requireElements(name, [outer, reduced, inner]);
  const count = requireElements(name, [outer, inner]);
  if (reduced === 0 && count > 0) {
    throw new RangeError(`${name}: no elements have no ${isSmallest ? "smallest" : "largest"} one`);
  }
  return {
    label: `${name} ${outer}x${reduced}x${inner}`,
    code: argmaxWgsl(dtype, isSmallest),
    constants: { count, reduced, inner },
    bindings: [bindings.input, bindings.out],
    workgroups: linearGrid(count),
  };
}

function argmaxWgsl(dtype: ComputeDType, isSmallest: boolean): string {
  const beats = `element ${isSmallest ? "<" : ">"} best`;
  return `override count: u32;
override reduced: u32;
override inner: u32;

@group(0) @binding(0) var<storage, read> input: array<${dtype}>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;

${floatBitsWgsl("f32")}
${LINEAR_MAIN_WGSL}
  let first = index / inner * reduced * inner + index % inner;
  // No constant: compilers for CPU adapters unroll loops of a constant length.
  let terms = reduced * workgroups.z;
  var best = input[first];
  var place = 0u;
  for (var term = 1u; term < terms; term++) {
    let element = input[first + term * inner];
    if (${dtype === "f32" ? `!is_nan(best) && (is_nan(element) || ${beats})` : beats}) {
      best = element;
      place = term;
    }
  }
  out[index] = place;
}
`;
}
