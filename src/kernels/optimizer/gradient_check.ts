import {
  type Dispatch,
  gridFor,
  LINEAR_MAIN_WGSL,
  linearGrid,
  WORKGROUP_SIZE,
  workgroupMainWgsl,
} from "../../gpu/dispatch.ts";
import { requireSizes } from "../sizes.ts";

/** What the check of a range of gradients binds. */
export interface GradientCheckBindings<B> {
  /** f32, read. */
  readonly gradient: B;
  /** {@link gradientCheckPartials} of them, written. */
  readonly partials: B;
}

/** Bytes of one partial result: the largest magnitude as bits, and the sum of the squares. */
export const PARTIAL_BYTES = 8;

/** Vectors of four elements that an invocation looks at: enough for its own cost not to matter. */
const VECTORS_PER_INVOCATION = 64;
const ELEMENTS_PER_WORKGROUP = 4 * WORKGROUP_SIZE * VECTORS_PER_INVOCATION;

/** How many partial results the check of `count` elements leaves. */
export function gradientCheckPartials(count: number): number {
  return Math.ceil(count / ELEMENTS_PER_WORKGROUP) * WORKGROUP_SIZE;
}

/**
 * Looks at every one of `count` gradients (a multiple of 4) in one pass. Each invocation leaves the largest magnitude
 * that it met, as bits, and the sum of the squares, added up in an order that depends on the count only.
 *
 * Bits are compared, and not the norm, which overflows on gradients that are finite: a magnitude whose bits are
 * `0x7f800000` or more is infinite or no number.
 */
export function gradientCheck<B>(
  bindings: GradientCheckBindings<B>,
  options: { readonly count: number },
): Dispatch<B> {
  const { count } = options;
  requireSizes("gradientCheck", { count });
  if (count % 4 !== 0) throw new RangeError(`gradientCheck: count has to be a multiple of 4, not ${count}`);
  return {
    label: `gradientCheck ${count}`,
    code: GRADIENT_CHECK_WGSL,
    constants: { vectors: count / 4 },
    bindings: [bindings.gradient, bindings.partials],
    workgroups: gridFor(Math.ceil(count / ELEMENTS_PER_WORKGROUP)),
  };
}

/** The WGSL type of a partial result. */
export const PARTIAL_WGSL = `struct Partial {
  largest: u32,
  sum_of_squares: f32,
}
`;

const GRADIENT_CHECK_WGSL = `override vectors: u32;

${PARTIAL_WGSL}
@group(0) @binding(0) var<storage, read> gradient: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> partials: array<Partial>;

${workgroupMainWgsl(WORKGROUP_SIZE, "number")}
  let first = number * ${WORKGROUP_SIZE * VECTORS_PER_INVOCATION}u;
  if (first >= vectors) {
    return;
  }
  var largest = vec4<u32>();
  var squares = vec4<f32>();
  let end = min(first + ${WORKGROUP_SIZE * VECTORS_PER_INVOCATION}u, vectors);
  for (var index = first + local; index < end; index += ${WORKGROUP_SIZE}u) {
    let bits = gradient[index];
    let values = bitcast<vec4<f32>>(bits);
    largest = max(largest, bits & vec4<u32>(0x7fffffffu));
    squares += values * values;
  }
  let pairs = max(largest.xy, largest.zw);
  partials[number * ${WORKGROUP_SIZE}u + local] = Partial(
    max(pairs.x, pairs.y),
    (squares.x + squares.z) + (squares.y + squares.w),
  );
}
`;

/** Partial results that are folded into one. */
const FOLDED = 64;

/** How many there are after {@link foldPartials}. */
export function foldedPartials(count: number): number {
  return Math.ceil(count / FOLDED);
}

/** Puts each 64 of `count` partial results together, in their order, and leaves them from `into` on. */
export function foldPartials<B>(
  bindings: { readonly partials: B },
  options: { readonly from: number; readonly count: number; readonly into: number },
): Dispatch<B> {
  const { from, count, into } = options;
  requireSizes("foldPartials", { from, count, into });
  return {
    label: `foldPartials ${count}`,
    code: FOLD_PARTIALS_WGSL,
    constants: { count: foldedPartials(count), from_first: from, from_end: from + count, into_first: into },
    bindings: [bindings.partials],
    workgroups: linearGrid(foldedPartials(count)),
  };
}

const FOLD_PARTIALS_WGSL = `override count: u32;
override from_first: u32;
override from_end: u32;
override into_first: u32;

${PARTIAL_WGSL}
@group(0) @binding(0) var<storage, read_write> partials: array<Partial>;

${LINEAR_MAIN_WGSL}
  let first = from_first + index * ${FOLDED}u;
  var folded = Partial();
  for (var each = first; each < min(first + ${FOLDED}u, from_end); each++) {
    folded.largest = max(folded.largest, partials[each].largest);
    folded.sum_of_squares += partials[each].sum_of_squares;
  }
  partials[into_first + index] = folded;
}
`;
