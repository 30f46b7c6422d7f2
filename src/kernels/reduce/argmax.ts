import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { floatBitsWgsl } from "../float_bits.ts";
import { requireElements, requireSizes } from "../sizes.ts";

/** A tensor seen as `[outer, reduced, inner]`, row-major. */
export interface ArgmaxOptions {
  readonly outer: number;
  readonly reduced: number;
  readonly inner: number;
}

/**
 * Where, along `reduced`, the largest element of an f32 tensor `[outer, reduced, inner]` is: `out` is `[outer, inner]`, u32.
 *
 * Of equals the first, and of NaNs the first, which count as largest, as in PyTorch. One invocation walks each row.
 * Throws `RangeError` when there is nothing to choose from.
 */
export function argmax<B>(
  bindings: { readonly input: B; readonly out: B },
  options: ArgmaxOptions,
): Dispatch<B> {
  const { outer, reduced, inner } = options;
  requireSizes("argmax", { outer, reduced, inner });
  requireElements("argmax", [outer, reduced, inner]);
  const count = requireElements("argmax", [outer, inner]);
  if (reduced === 0 && count > 0) throw new RangeError("argmax: no elements have no largest one");
  return {
    label: `argmax ${outer}x${reduced}x${inner}`,
    code: ARGMAX_WGSL,
    constants: { count, reduced, inner },
    bindings: [bindings.input, bindings.out],
    workgroups: linearGrid(count),
  };
}

const ARGMAX_WGSL = `override count: u32;
override reduced: u32;
override inner: u32;

@group(0) @binding(0) var<storage, read> input: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;

${floatBitsWgsl("f32")}
${LINEAR_MAIN_WGSL}
  let first = index / inner * reduced * inner + index % inner;
  var largest = input[first];
  var place = 0u;
  for (var term = 1u; term < reduced; term++) {
    let element = input[first + term * inner];
    if (!is_nan(largest) && (is_nan(element) || element > largest)) {
      largest = element;
      place = term;
    }
  }
  out[index] = place;
}
`;
