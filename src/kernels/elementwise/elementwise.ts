import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { HIDE_WGSL } from "../opaque.ts";
import { requireElements, requireSizes } from "../sizes.ts";
import { STEP_SCALARS_WGSL } from "../step_scalars.ts";
import { type ElementCode, elementCode, type ElementwiseInput } from "./element_code.ts";
import type { ComputeDType, Expression } from "./expression.ts";
import { TYPE_NAMES } from "./expression_wgsl.ts";
import { isSixteenBits, packPairWgsl, type SixteenBits } from "./sixteen_bits.ts";
import type { Walk } from "./strided_access.ts";

/** A contiguous tensor of the kernel's shape that it writes. */
export interface ElementwiseOutput<B> {
  readonly binding: B;
  /** In 16 bits, the expression has to be rounded to them, and there is one output. */
  readonly dtype: ComputeDType | SixteenBits;
  readonly expression: Expression;
}

/** What an elementwise kernel computes. */
export interface ElementwiseOptions<B> {
  readonly inputs: readonly ElementwiseInput<B>[];
  /** At least one. */
  readonly outputs: readonly ElementwiseOutput<B>[];
  readonly shape: readonly number[];
  /** The step's scalars, for expressions of kind `scalar`. */
  readonly scalars?: B | undefined;
  /** For errors and traces. Default "elementwise". */
  readonly label?: string;
}

/** Every adapter binds this many. */
const MAX_STORAGE_BINDINGS = 8;

/**
 * One kernel that computes every element of the outputs from the elements at the same place in the inputs.
 *
 * Four neighbouring elements are computed at a time where the innermost dimension allows it. Bindings are the inputs
 * that an expression reads, in order, then the outputs, then the scalars if an expression reads them. Throws
 * `TypeError` for operations that do not take their operands, and `RangeError` for sizes and numbers that do not fit.
 */
export function elementwise<B>(options: ElementwiseOptions<B>): Dispatch<B> {
  const { inputs, outputs, shape, scalars, label = "elementwise" } = options;
  const count = checkShape(options, label);
  const element = elementCode(outputs, { inputs, shape, label });
  const { bindings, usesScalars, width } = element;
  if (usesScalars && scalars === undefined) {
    throw new TypeError(`${label}: an expression reads scalars; bind them`);
  }
  if (bindings.length + outputs.length > MAX_STORAGE_BINDINGS) {
    throw new RangeError(
      `${label}: ${bindings.length} inputs and ${outputs.length} outputs are more than ${MAX_STORAGE_BINDINGS} bindings`,
    );
  }
  // A word has two elements of 16 bits, so an invocation computes both.
  const isPaired = width === 1 && outputs.some(({ dtype }) => isSixteenBits(dtype));
  const invocations = isPaired ? Math.ceil(count / 2) : count / width;
  return {
    label,
    code: kernelWgsl(element, outputs, isPaired),
    constants: {
      count: invocations,
      ...isPaired ? { elements: count } : {},
      ...element.constants,
    },
    bindings: [
      ...bindings,
      ...outputs.map(({ binding }) => binding),
      ...usesScalars && scalars !== undefined ? [scalars] : [],
    ],
    workgroups: linearGrid(invocations),
  };
}

function checkShape<B>({ inputs, outputs, shape }: ElementwiseOptions<B>, label: string): number {
  requireSizes(label, Object.fromEntries(shape.map((size, axis) => [`dimension ${axis}`, size])));
  if (outputs.length === 0) throw new TypeError(`${label}: has no output`);
  if (outputs.length > 1 && outputs.some(({ dtype }) => isSixteenBits(dtype))) {
    throw new TypeError(`${label}: has an output in 16 bits, which has to be its only one`);
  }
  inputs.forEach((input, index) => checkWalk(input, shape, `${label}: input ${index}`));
  return requireElements(label, shape);
}

/** Strides and offsets are whole numbers that fit addresses; a bound is of a dimension that exists. */
function checkWalk(
  { strides, offset = 0, bounds = [] }: Walk,
  shape: readonly number[],
  input: string,
): void {
  if (strides.length !== shape.length) {
    throw new TypeError(`${input} has ${strides.length} strides for a shape of ${shape.length} dimensions`);
  }
  for (const number of [...strides, offset, ...bounds.flatMap(({ from, to }) => [from, to])]) {
    if (Number.isInteger(number) && Math.abs(number) < 2 ** 32) continue;
    throw new RangeError(`${input}: strides, offset and bounds are whole numbers below 2^32, not ${number}`);
  }
  for (const { axis } of bounds) {
    if (axis in shape) continue;
    throw new RangeError(`${input} has bounds along dimension ${axis} of ${shape.length}`);
  }
}

function kernelWgsl<B>(
  element: ElementCode<B>,
  outputs: readonly ElementwiseOutput<B>[],
  isPaired: boolean,
): string {
  const { bindings, usesScalars, declarations, statements, results } = element;
  const declared = [
    usesScalars ? STEP_SCALARS_WGSL : "",
    declarations,
    outputs.map(({ dtype }, which) =>
      `@group(0) @binding(${bindings.length + which}) var<storage, read_write> output_${which}: array<${
        isSixteenBits(dtype) ? isPaired ? "u32" : "vec2<u32>" : TYPE_NAMES[dtype]
      }>;`
    ).join("\n"),
    ...outputs.map(({ dtype }) => isSixteenBits(dtype) ? packPairWgsl(dtype) : ""),
    usesScalars
      ? `@group(0) @binding(${bindings.length + outputs.length}) var<uniform> scalars: StepScalars;`
      : "",
  ];
  const stores = results.map((result, which) => {
    if (isPaired) return `return ${result};`;
    const isPacked = outputs.some(({ dtype }) => isSixteenBits(dtype));
    return `output_${which}[index] = ${isPacked ? packed(result) : result};`;
  });
  const body = [...statements, ...stores].map((line) => `  ${line}`).join("\n");
  const head = `override count: u32;
${declared.filter((text) => text !== "").join("\n")}
`;
  if (isPaired) return head + pairedWgsl(body);
  return `${head}${LINEAR_MAIN_WGSL}
${HIDE_WGSL}
${body}
}
`;
}

/** Four rounded elements as the words that they are stored in. */
function packed(four: string): string {
  return `vec2<u32>(pack_pair(${four}.x, ${four}.y), pack_pair(${four}.z, ${four}.w))`;
}

/** Two elements at a time, each computed by `body`, which returns it. */
function pairedWgsl(body: string): string {
  return `override elements: u32;

fn result_at(index: u32) -> f32 {
${body}
}

${LINEAR_MAIN_WGSL}
${HIDE_WGSL}
  var high = 0.0;
  if (2u * index + 1u < elements) {
    high = result_at(2u * index + 1u);
  }
  output_0[index] = pack_pair(result_at(2u * index), high);
}
`;
}
