import {
  type Dispatch,
  gridFor,
  LINEAR_MAIN_WGSL,
  linearGrid,
  linearMainWgsl,
  workgroupMainWgsl,
} from "../../gpu/dispatch.ts";
import type { ComputeDType } from "../elementwise/expression.ts";
import { fill } from "../elementwise/fill.ts";
import { type KernelMemory, numberRecords } from "../kernel_steps.ts";
import { HIDE_WGSL } from "../opaque.ts";
import { planReduction, type ReductionPass, type ReductionSpan } from "./reduction_plan.ts";
import { carriesError, type ReduceOp, totalsWgsl } from "./reduction_totals.ts";
import { requireElements, requireSizes } from "../sizes.ts";

/** What is reduced, and how. */
export interface ReduceOptions {
  readonly op: ReduceOp;
  /** One after the other; each takes the result of the one before. Several stand for axes that are no neighbours. */
  readonly spans: readonly ReductionSpan[];
  /** Of the input and the output. Default "f32". */
  readonly dtype?: ComputeDType;
  /** Default: {@link planReduction}'s, which depends on the sizes only, because it decides the last bits. */
  readonly passes?: readonly ReductionPass[];
}

/** A dispatch with what it writes. */
export interface ReduceStep<B> {
  readonly dispatch: Dispatch<B>;
  readonly out: B;
}

/** Invocations of a workgroup of the variant `tree`. */
const TREE_INVOCATIONS = 128;

/**
 * Reduces `input` over the middle axis of each span: `out` has what is left.
 *
 * **Sums and means of f32** are off by at most 8 roundings (2^-24 each: 4.8e-7 together) of the sum of the
 * magnitudes, whatever the length; a mean also by one division. A few terms are added as they are; all that follows
 * carries along what rounding took, and gives it back at the end. A sum beyond the largest f32 is infinite. Maxima
 * and sums of integers are exact.
 *
 * The order depends on the sizes only, so equal inputs give equal bits. The sum of nothing is 0, its mean is NaN.
 * Throws `RangeError` for the maximum of nothing and `TypeError` for the mean of integers.
 */
export function reduce<B>(
  bindings: { readonly input: B; readonly out: B },
  options: ReduceOptions,
  memory: KernelMemory<B>,
): ReduceStep<B>[] {
  const { op, spans, dtype = "f32" } = options;
  const { results, terms } = checkedSizes(op, dtype, spans);
  const { out } = bindings;
  // Not by dividing: Mesa drops the store of a result that it knows to be 0 / 0.
  if (op === "mean" && terms === 0) return [{ dispatch: fill({ out }, { count: results, value: NaN }), out }];
  const passes = options.passes ?? planReduction(spans);
  let from = bindings.input;
  return passes.map((pass, index) => {
    const position = { isFirst: index === 0, isLast: index === passes.length - 1 };
    const numbers = pass.outer * pass.partials * pass.inner * (carriesError(op, dtype) ? 2 : 1);
    const to = position.isLast ? out : memory.scratch(`partials of a ${op}`, 4 * Math.max(1, numbers));
    const dispatch = isPlainPass(pass, position)
      ? plainDispatch(op, dtype, pass, [from, to], memory)
      : dispatchOf(op, dtype, pass, position, terms, [from, to]);
    from = to;
    return { dispatch, out: to };
  });
}

function checkedSizes(
  op: ReduceOp,
  dtype: ComputeDType,
  spans: readonly ReductionSpan[],
): { results: number; terms: number } {
  const [first, last] = [spans[0], spans.at(-1)];
  if (first === undefined || last === undefined) throw new RangeError("reduce: there is no axis to reduce");
  for (const { outer, reduced, inner } of spans) requireSizes("reduce", { outer, reduced, inner });
  requireElements("reduce", [first.outer, first.reduced, first.inner]);
  const results = requireElements("reduce", [last.outer, last.inner]);
  const terms = requireElements("reduce", spans.map(({ reduced }) => reduced));
  if (op === "mean" && dtype !== "f32") {
    throw new TypeError(`reduce: the mean of ${dtype} is no ${dtype}; cast to f32`);
  }
  if ((op === "max" || op === "min") && terms === 0 && results > 0) {
    throw new RangeError(`reduce: no elements have no ${op === "max" ? "maximum" : "minimum"}`);
  }
  return { results, terms };
}

/** Whether a dispatch reads elements, and whether it writes results; between two there are totals. */
interface PassPosition {
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

function dispatchOf<B>(
  op: ReduceOp,
  dtype: ComputeDType,
  pass: ReductionPass,
  position: PassPosition,
  terms: number,
  bindings: readonly B[],
): Dispatch<B> {
  const { outer, reduced, inner, partials, partialTerms, variant } = pass;
  const width = widthOf(pass, position);
  const count = outer * partials * inner;
  return {
    label: labelOf(op, pass),
    code: reduceWgsl(
      totalsWgsl(op, dtype),
      accessWgsl(carriesError(op, dtype), dtype, position, width),
      pass,
    ),
    constants: {
      count,
      reduced: reduced / width,
      inner,
      partials,
      partial_terms: Math.ceil(partialTerms / width),
      all_terms: terms,
    },
    bindings,
    workgroups: variant === "tree" ? gridFor(count) : linearGrid(count),
  };
}

function labelOf(op: ReduceOp, { outer, reduced, inner, partials, variant }: ReductionPass): string {
  return `reduce ${op} ${outer}x${reduced}x${inner} to ${partials} ${variant}`;
}

/** Neighbouring terms are read four at a time, where rows are whole vectors. */
function widthOf(
  { reduced, inner, partials, partialTerms }: ReductionPass,
  { isFirst }: PassPosition,
): 1 | 4 {
  const isWhole = reduced > 0 && reduced % 4 === 0 && (partials === 1 || partialTerms % 4 === 0);
  return isFirst && inner === 1 && isWhole ? 4 : 1;
}

const ALONE: PassPosition = { isFirst: true, isLast: true };

/** Whether one dispatch reduces the rows, or the columns, of a matrix: most do. */
function isPlainPass(
  { outer, inner, partials, variant }: ReductionPass,
  { isFirst, isLast }: PassPosition,
): boolean {
  return isFirst && isLast && variant === "sequential" && partials === 1 && (outer === 1 || inner === 1);
}

/** Sizes are bound, so that matrices of all sizes share a pipeline, which takes a CPU adapter a tenth of a second. */
function plainDispatch<B>(
  op: ReduceOp,
  dtype: ComputeDType,
  pass: ReductionPass,
  bindings: readonly B[],
  memory: KernelMemory<B>,
): Dispatch<B> {
  const { outer, reduced, inner } = pass;
  const width = widthOf(pass, ALONE);
  const results = outer * inner;
  const isCarried = carriesError(op, dtype);
  const access = accessWgsl(isCarried, dtype, ALONE, width);
  const divisor = op === "mean" ? reduced : 1;
  const sizes = numberRecords(memory, "sizes of a reduction", [[results, reduced / width, divisor]]);
  return {
    label: labelOf(op, pass),
    // A sum of f32 is a mean that is divided by nothing.
    code: plainWgsl(totalsWgsl(isCarried ? "mean" : op, dtype), access, inner === 1),
    constants: {},
    bindings: [...bindings, sizes(0)],
    workgroups: linearGrid(results),
  };
}

/** WGSL that reduces the rows of a matrix, or its columns. */
function plainWgsl(totals: string, access: string, isOfRows: boolean): string {
  return `// ${isOfRows ? "[results, terms]" : "[terms, results]"} becomes [results].
struct Sizes {
  results: u32,
  terms: u32, // loads of one result
  divisor: u32, // of a mean
}

@group(0) @binding(2) var<uniform> sizes: Sizes;
var<private> all_terms: u32;

${totals}
${access}

${linearMainWgsl("sizes.results")}
${HIDE_WGSL}
  all_terms = sizes.divisor;
  let terms = sizes.terms;
${sequentialWgsl(isOfRows ? ["index * terms", "1u"] : ["index", "sizes.results"])}
  store(index, total);
}
`;
}

/** Adds up `terms`, from an address on, and a number of loads apart. */
function sequentialWgsl([first, stride]: readonly [string, string]): string {
  return `  var total = nothing();
  for (var term = 0u; term < terms; term += TURN) {
    total = join(total, turn_at(${first} + term * ${stride}, ${stride}, min(TURN, terms - term)));
  }`;
}

/**
 * How terms are read and totals written. A load is a total, an element, or `width` neighbouring elements of one
 * result.
 */
function accessWgsl(
  isCarried: boolean,
  dtype: ComputeDType,
  { isFirst, isLast }: PassPosition,
  width: 1 | 4,
): string {
  const isTotal = isCarried && !isFirst;
  return `@group(0) @binding(0) var<storage, read> input: array<${
    width === 1 ? "Element" : `vec4<${dtype}>`
  }>;
@group(0) @binding(1) var<storage, read_write> out: array<Element>;

${isTotal ? LOAD_TOTALS_WGSL : width === 1 ? LOAD_ELEMENTS_WGSL : LOAD_FOURS_WGSL}
${isTotal ? "" : turnWgsl(width === 1 ? 8 : 4)}
fn store(index: u32, total: Total) {
${isLast ? "  out[index] = finish(total);" : isCarried ? STORE_TOTAL_WGSL : "  out[index] = total;"}
}`;
}

const LOAD_ELEMENTS_WGSL = `fn load(address: u32) -> Element {
  return input[address];
}
`;

const LOAD_FOURS_WGSL = `fn load(address: u32) -> Element {
  let four = input[address];
  return combine(combine(four.x, four.y), combine(four.z, four.w));
}
`;

/**
 * A turn is short, because rounding loses in it: a turn of eight, or of four times four, in at most seven additions.
 */
function turnWgsl(loads: number): string {
  return `const TURN = ${loads}u;

// The \`loads\` from \`address\` on, \`stride\` apart.
fn turn_at(address: u32, stride: u32, loads: u32) -> Total {
  var partial = load(address);
  for (var index = 1u; index < loads; index++) {
    partial = combine(partial, load(address + index * stride));
  }
  return total_of(partial);
}
`;
}

const LOAD_TOTALS_WGSL = `const TURN = 1u;

fn turn_at(address: u32, stride: u32, loads: u32) -> Total {
  return Total(input[address], input[address + count / partials * reduced]);
}
`;

const STORE_TOTAL_WGSL = `  out[index] = total.sum;
  out[index + count] = total.lost;`;

function reduceWgsl(totals: string, access: string, { variant }: ReductionPass): string {
  return `// [outer, reduced, inner] becomes [outer, partials, inner]. Sizes are in loads.
override count: u32; // outer * partials * inner
override reduced: u32;
override inner: u32;
override partials: u32;
override partial_terms: u32;
override all_terms: u32; // elements of one result, in all dispatches together

${totals}
${access}

// Where the first term of a partial is.
fn address_of(index: u32) -> u32 {
  let row = index / inner;
  return (row / partials * reduced + row % partials * partial_terms) * inner + index % inner;
}

fn terms_of(index: u32) -> u32 {
  return min(partial_terms, reduced - index / inner % partials * partial_terms);
}

${variant === "tree" ? TREE_WGSL : SEQUENTIAL_WGSL}
  store(index, total);
}
`;
}

const SEQUENTIAL_WGSL = `${LINEAR_MAIN_WGSL}
${HIDE_WGSL}
  let first = address_of(index);
  // No constant, because compilers for CPU adapters unroll constant loops, which takes them many times longer.
  let terms = terms_of(index) * workgroups.z;
${sequentialWgsl(["first", "inner"])}`;

const TREE_WGSL = `var<workgroup> totals: array<Total, ${TREE_INVOCATIONS}>;

${workgroupMainWgsl(TREE_INVOCATIONS, "index")}
  if (index >= count) {
    return;
  }
${HIDE_WGSL}
  let first = address_of(index);
  let terms = terms_of(index);
  let stride = ${TREE_INVOCATIONS}u * inner;
  var total = nothing();
  for (var term = local; term < terms; term += TURN * ${TREE_INVOCATIONS}u) {
    let loads = (terms - term + ${TREE_INVOCATIONS - 1}u) / ${TREE_INVOCATIONS}u;
    total = join(total, turn_at(first + term * inner, stride, min(TURN, loads)));
  }
  totals[local] = total;
  // No constant, because compilers for CPU adapters unroll constant loops, which takes them many times longer.
  for (var half = ${TREE_INVOCATIONS / 2}u * workgroups.z; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local < half) {
      totals[local] = join(totals[local], totals[local + half]);
    }
  }
  if (local > 0u) {
    return;
  }
  total = totals[0];`;
