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
  const rows = outer * inner / (manner === "side by side" ? 4 : 1);
  const grid = variant === "row" ? linearGrid(rows) : gridFor(rows);
  return {
    label: `${label} ${outer}x${reduced}x${inner} ${variant}`,
    code: rowWgsl(inputs.length, manner, variant, needsLargest, term, result),
    constants: {
      count: rows,
      terms: reduced / (manner === "along" ? 4 : 1),
      stride: inner / (manner === "side by side" ? 4 : 1),
    },
    bindings: [...inputs, out],
    workgroups: reduced === 0 ? [0, 0, 0] : grid,
  };
}

/** Whether a vector is four rows, four elements of a row, or there is none. */
type Manner = "side by side" | "along" | "single";

function rowWgsl(
  inputs: number,
  manner: Manner,
  variant: RowVariant,
  needsLargest: boolean,
  term: string,
  result: string,
): string {
  const float = manner === "single" ? "f32" : "vec4<f32>";
  const names = [...Array(inputs).keys()];
  const loads = names.map((index) => `    let x${index} = input_${index}[address];`).join("\n");
  const steps = variant === "row" ? "1u" : `${INVOCATIONS}u`;
  const begin = variant === "row" ? "0u" : "local";
  const walk = (body: string) =>
    `  for (var place = ${begin}; place < length; place += ${steps}) {
    let address = first + place * stride;
${body}
  }`;
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
${
    needsLargest
      ? `  // A NaN that max passes over still reaches the sum.
  var most = input_0[first];
${walk(`${loads}\n    most = max(most, x0);`)}
${
        variant === "row"
          ? ""
          : "  most = shared_largest(most, local, workgroups.z);\n"
      }  // Of one element it is that: a compiler would take their difference for 0, also where they are NaN.
  let largest = opaque(${manner === "along" ? "across_largest(most)" : "most"});`
      : ""
  }
  var joined = Total();
  var part = Float();
  var open = 0u;
${
    walk(`${loads}
    part += ${term};
    open += 1u;
    if (open == 8u) {
      joined = join(joined, Total(part, Float()));
      part = Float();
      open = 0u;
    }`)
  }
  joined = join(joined, Total(part, Float()));
${variant === "row" ? "" : "  joined = shared_total(joined, local, workgroups.z);\n"}  let total = finish(${
    manner === "along" ? "across_total(joined)" : "joined"
  });
${walk(`${loads}\n    out[address] = ${result};`)}
}
`;
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
