import {
  type Dispatch,
  gridFor,
  LINEAR_MAIN_WGSL,
  linearGrid,
  workgroupMainWgsl,
} from "../../gpu/dispatch.ts";
import { floatBitsWgsl } from "../float_bits.ts";
import { ACROSS_TOTALS_WGSL, FLOAT_TOTALS_WGSL } from "../float_totals.ts";
import { HIDE_WGSL, opaqueWgsl } from "../opaque.ts";
import { requireElements, requireSizes } from "../sizes.ts";

/** Tensors seen as `[outer, reduced, inner]`, row-major: a row is what lies along `reduced`. */
export type RowSizes = { readonly outer: number; readonly reduced: number; readonly inner: number };

/**
 * `row`: one invocation for each row, which walks it. For CPU adapters, where barriers cost much, and for short rows.
 * `workgroup`: a workgroup for each row.
 */
export type RowVariant = "row" | "workgroup";

/** Up to this length a row is walked by one invocation. */
const SHORT = 128;

/** Invocations of a workgroup of the variant `workgroup`. */
const INVOCATIONS = 128;

/** A kernel that sums up something of each row, and computes each element from it. */
export interface RowKernel<B> {
  readonly label: string;
  readonly inputs: readonly B[];
  readonly out: B;
  readonly sizes: RowSizes;
  readonly variant: RowVariant;
  /** Whether the largest element of the first input is looked for first. */
  readonly needsLargest: boolean;
  /** What is summed up, as WGSL: of `x0`, `x1`, … (the inputs' elements), `Float`s, and `largest`. */
  readonly term: string;
  /** The result for an element, as WGSL: of the same, and `total`. */
  readonly result: string;
}

/**
 * One dispatch over all rows. Sums are off by at most 8 roundings (2^-24 each) of the sum of the magnitudes, whatever
 * the length: eight terms are added as they are, and from then on what rounding took is carried along. The order
 * depends on the sizes and the variant only.
 *
 * Four elements are computed at a time where rows lie side by side in whole vectors, or are whole vectors themselves.
 */
export function rowKernel<B>(kernel: RowKernel<B>): Dispatch<B> {
  const { label, inputs, out, sizes, needsLargest, term, result } = kernel;
  const { outer, reduced, inner } = sizes;
  requireSizes(label, { outer, reduced, inner });
  requireElements(label, [outer, reduced, inner]);
  const variant = reduced <= SHORT ? "row" : kernel.variant;
  const manner = inner % 4 === 0 ? "side by side" : inner === 1 && reduced % 4 === 0 ? "along" : "single";
  const terms = reduced / (manner === "along" ? 4 : 1);
  const together = terms % 2 === 0 ? 2 : 1;
  const rows = outer * inner / (manner === "side by side" ? 4 : 1);
  const grid = variant === "row" ? linearGrid(rows) : gridFor(rows);
  return {
    label: `${label} ${outer}x${reduced}x${inner} ${variant}`,
    code: rowWgsl({ inputs: inputs.length, manner, variant, together, needsLargest, term, result }),
    constants: {
      count: rows,
      terms,
      stride: inner / (manner === "side by side" ? 4 : 1),
    },
    bindings: [...inputs, out],
    workgroups: reduced === 0 ? [0, 0, 0] : grid,
  };
}

/** Whether a vector is four rows, four elements of a row, or there is none. */
type Manner = "side by side" | "along" | "single";

/** How a kernel is written. */
interface RowSource {
  readonly inputs: number;
  readonly manner: Manner;
  readonly variant: RowVariant;
  /** Loads that an invocation of the variant `row` computes in one turn of a loop; they divide those of a row. */
  readonly together: 1 | 2;
  readonly needsLargest: boolean;
  readonly term: string;
  readonly result: string;
}

function rowWgsl(source: RowSource): string {
  const { inputs, manner, variant, needsLargest, result } = source;
  const float = manner === "single" ? "f32" : "vec4<f32>";
  const names = [...Array(inputs).keys()];
  return `// [outer, reduced, inner], a row a result. A vector is ${
    { "side by side": "four rows", along: "four elements of a row", single: "not used" }[manner]
  }.
override count: u32; // rows
override terms: u32; // of a row
override stride: u32;
alias Float = ${float};
alias Unsigned = ${float.replace("f32", "u32")};

${
    names.map((index) => `@group(0) @binding(${index}) var<storage, read> input_${index}: array<Float>;`)
      .join("\n")
  }
@group(0) @binding(${inputs}) var<storage, read_write> out: array<Float>;

${floatBitsWgsl(float)}
${opaqueWgsl(float === "f32" ? 1 : 4)}
${FLOAT_TOTALS_WGSL}
${manner === "along" ? ACROSS_WGSL : ""}
${variant === "row" ? "" : sharedWgsl(needsLargest)}
${variant === "row" ? ROW_MAIN_WGSL : WORKGROUP_MAIN_WGSL}
  // No constant: compilers for CPU adapters unroll loops of a constant length, which takes them a hundred times longer.
  let length = terms * workgroups.z;
  let first = index / stride * terms * stride + index % stride;
  var joined = Total();
${variant === "row" ? rowTotalWgsl(source) : sharedTotalWgsl(source)}
${walkWgsl(source, `    out[address] = ${result};`)}
}
`;
}

/** A loop over the row; `body` has `address`, and `x0`, `x1`, … */
function walkWgsl(
  { inputs, variant, together }: RowSource,
  body: string,
  from?: string,
  end?: string,
): string {
  const loads = [...Array(inputs).keys()].map((index) => `    let x${index} = input_${index}[address];`).join(
    "\n",
  );
  const begin = from ?? (variant === "row" ? "0u" : "local");
  const last = end ?? "length";
  if (variant === "workgroup") {
    return `  for (var place = ${begin}; place < ${last}; place += ${INVOCATIONS}u) {
    let address = first + place * stride;
${loads}
${body}
  }`;
  }
  const turns = [...Array(together).keys()].map((index) =>
    `    {
    let address = first + (turn + ${index}u) * stride;
${loads}
${body}
    }`
  );
  return `  for (var turn = ${begin}; turn < ${last}; turn += ${together}u) {
${turns.join("\n")}
  }`;
}

/** Leaves `total`, and `largest` where it is needed. */
function rowTotalWgsl(source: RowSource): string {
  const { manner, needsLargest, term } = source;
  const across = (value: string): string => manner === "along" ? `across_largest(${value})` : value;
  const most = needsLargest ? "\n    most = max(most, x0);" : "";
  const sum = `  for (var eight = 0u; eight < length; eight += 8u) {
  var part = Float();
  let end = min(eight + 8u, length);
${walkWgsl(source, `    part += ${term};${most}`, "eight", "end")}
  joined = join(joined, Total(part, Float()));
  }`;
  const total = `finish(${manner === "along" ? "across_total(joined)" : "joined"})`;
  if (!needsLargest) return `${sum}\n  let total = ${total};`;
  const few = [0, 1, 2, 3].map((part) => `input_0[first + length * ${part}u / 4u * stride]`);
  return `  // Most rows are read once for both: terms are those of a number near the largest one, the largest of a few
  // elements. Where it is not near enough, they are added up once more. A NaN that max passes over still reaches the
  // sum. Of one element it is that: a compiler would take their difference for 0, also where they are NaN.
  var most = max(max(${few[0]}, ${few[1]}), max(${few[2]}, ${few[3]}));
  var largest = opaque(${across("most")});
  for (var attempt = 0u; attempt < 2u; attempt += workgroups.z) {
  joined = Total();
${sum}
    if (!${manner === "single" ? "" : "any"}(${across("most")} - largest > Float(${NEAR}.0))) {
      break;
    }
    largest = opaque(${across("most")});
  }
  let near = largest;
  largest = opaque(${across("most")});
  let total = ${total} * exp(near - largest);`;
}

/** How far from the largest element terms may be computed: their exponents lose two digits of f32 at most. */
const NEAR = 8;

/** The same of a workgroup, whose barriers may not depend on what rows are like. */
function sharedTotalWgsl(source: RowSource): string {
  const { manner, needsLargest, term } = source;
  const largest = `  // A NaN that max passes over still reaches the sum.
  var most = input_0[first];
${walkWgsl(source, "    most = max(most, x0);")}
  most = shared_largest(most, local, workgroups.z);
  // Of one element it is that: a compiler would take their difference for 0, also where they are NaN.
  let largest = opaque(${manner === "along" ? "across_largest(most)" : "most"});`;
  return `${needsLargest ? largest : ""}
  var part = Float();
  var open = 0u;
${
    walkWgsl(
      source,
      `    part += ${term};
    open += 1u;
    if (open == 8u) {
      joined = join(joined, Total(part, Float()));
      part = Float();
      open = 0u;
    }`,
    )
  }
  joined = join(joined, Total(part, Float()));
  joined = shared_total(joined, local, workgroups.z);
  let total = finish(${manner === "along" ? "across_total(joined)" : "joined"});`;
}

const ACROSS_WGSL = `fn across_largest(x: Float) -> Float {
  return max(max(x, x.yzwx), max(x.zwxy, x.wxyz));
}

${ACROSS_TOTALS_WGSL}`;

const ROW_MAIN_WGSL = `${LINEAR_MAIN_WGSL}
${HIDE_WGSL}`;

const WORKGROUP_MAIN_WGSL = `${workgroupMainWgsl(INVOCATIONS, "index")}
  if (index >= count) {
    return;
  }
${HIDE_WGSL}`;

/**
 * What all invocations of a workgroup have, joined in pairs. \`one\` is 1: no constant, so that no compiler unrolls
 * the loop.
 */
function sharedWgsl(needsLargest: boolean): string {
  const tree = (name: string, type: string, join: string) =>
    `var<workgroup> ${name}: array<${type}, ${INVOCATIONS}>;

fn shared_${name.slice(0, -1)}(own: ${type}, local: u32, one: u32) -> ${type} {
  ${name}[local] = own;
  for (var half = ${INVOCATIONS / 2}u * one; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local < half) {
      ${name}[local] = ${join}(${name}[local], ${name}[local + half]);
    }
  }
  workgroupBarrier();
  return ${name}[0];
}
`;
  return `${needsLargest ? tree("largests", "Float", "max") : ""}
${tree("totals", "Total", "join")}`;
}
