import type { DType } from "../../base/dtype.ts";
import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { type ComputeDType, type Expression, operandsOf } from "./expression.ts";
import { computeDTypeOf } from "./expression_dtype.ts";
import { expressionFunctionsWgsl, expressionTypesWgsl } from "./expression_functions.ts";
import { ExpressionWriter, opaqueLiteral, TYPE_NAMES } from "./expression_wgsl.ts";
import { HIDE_WGSL, opaqueWgsl } from "../opaque.ts";
import { requireElements, requireSizes } from "../sizes.ts";
import { STEP_SCALARS_WGSL } from "../step_scalars.ts";
import {
  type Bounds,
  collapse,
  coordinateConstants,
  coordinatesWgsl,
  type InputAccess,
  inputAccess,
  vectorWidthOf,
  type Walk,
} from "./strided_access.ts";

/** A tensor that an elementwise kernel reads. */
export interface ElementwiseInput<B> extends Walk {
  readonly binding: B;
  /** As it is stored; `f16`, `bf16`, `bool` and 8- and 16-bit integers are unpacked, and 64-bit dtypes refused. */
  readonly dtype: DType;
  /** What stands where its bounds leave it out; 0 when left out. */
  readonly fill?: number;
}

/** A contiguous tensor of the kernel's shape that it writes. */
export interface ElementwiseOutput<B> {
  readonly binding: B;
  readonly dtype: ComputeDType;
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

/** No place. */
const NOWHERE: readonly Bounds[] = [{ axis: 0, from: 0, to: 0 }];

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
  const used = usedBy(outputs.map(({ expression }) => expression));
  if (used.scalars && scalars === undefined) {
    throw new TypeError(`${label}: an expression reads scalars; bind them`);
  }
  const read = [...used.inputs].sort((a, b) => a - b).map((index) => ({
    index,
    ...inputAt(inputs, index, label),
  }));
  if (read.length + outputs.length > MAX_STORAGE_BINDINGS) {
    throw new RangeError(
      `${label}: ${read.length} inputs and ${outputs.length} outputs are more than ${MAX_STORAGE_BINDINGS} bindings`,
    );
  }
  const collapsed = collapse(shape, read);
  const { sizes } = collapsed;
  const width = vectorWidthOf(collapsed);
  const accesses = read.map(({ index, dtype }, binding) => {
    // An input that is never read is bound all the same, and read where no place is.
    const walk = collapsed.walks[binding] ?? { strides: sizes.map(() => 0), offset: 0, bounds: NOWHERE };
    return inputAccess(index, binding, dtype, sizes, walk, width);
  });
  const usesCoordinates = accesses.some((access) => access.usesCoordinates);
  const code = kernelWgsl({
    inputs,
    outputs,
    read,
    accesses,
    sizes: usesCoordinates ? sizes : [],
    width,
    used,
  });
  return {
    label,
    code,
    constants: {
      count: count / width,
      ...usesCoordinates ? coordinateConstants(sizes) : {},
      ...Object.assign({}, ...accesses.map(({ constants }) => constants)),
    },
    bindings: [
      ...read.map(({ binding }) => binding),
      ...outputs.map(({ binding }) => binding),
      ...used.scalars && scalars !== undefined ? [scalars] : [],
    ],
    workgroups: linearGrid(count / width),
  };
}

function checkShape<B>({ inputs, outputs, shape }: ElementwiseOptions<B>, label: string): number {
  requireSizes(label, Object.fromEntries(shape.map((size, axis) => [`dimension ${axis}`, size])));
  if (outputs.length === 0) throw new TypeError(`${label}: has no output`);
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

function inputAt<B>(
  inputs: readonly ElementwiseInput<B>[],
  index: number,
  label: string,
): ElementwiseInput<B> {
  const input = inputs[index];
  if (input === undefined) {
    throw new RangeError(`${label}: an expression reads input ${index} of ${inputs.length}`);
  }
  return input;
}

interface Used {
  readonly inputs: ReadonlySet<number>;
  readonly scalars: boolean;
}

/** What `expressions` read. */
function usedBy(expressions: readonly Expression[]): Used {
  const inputs = new Set<number>();
  let scalars = false;
  const met = new Set<Expression>();
  const open = [...expressions];
  for (let expression = open.pop(); expression !== undefined; expression = open.pop()) {
    if (met.has(expression)) continue;
    met.add(expression);
    if (expression.kind === "input") inputs.add(expression.index);
    if (expression.kind === "scalar") scalars = true;
    open.push(...operandsOf(expression));
  }
  return { inputs, scalars };
}

interface Kernel {
  readonly inputs: readonly { readonly dtype: DType }[];
  readonly outputs: readonly { readonly dtype: ComputeDType; readonly expression: Expression }[];
  readonly read: readonly { readonly index: number; readonly dtype: DType; readonly fill?: number }[];
  readonly accesses: readonly InputAccess[];
  /** Empty when no input needs coordinates. */
  readonly sizes: readonly number[];
  readonly width: 1 | 4;
  readonly used: Used;
}

function kernelWgsl({ inputs, outputs, read, accesses, sizes, width, used }: Kernel): string {
  const writer = new ExpressionWriter(
    inputs.map(({ dtype }, index) => ({
      text: `element_${index}`,
      dtype: used.inputs.has(index) ? computeDTypeOf(dtype) : "f32",
    })),
  );
  const results = outputs.map(({ dtype, expression }, which) => {
    const result = writer.write(expression);
    if (result.dtype !== dtype) {
      throw new TypeError(`Output ${which} is ${dtype}, and its expression ${result.dtype}`);
    }
    return `output_${which}[index] = ${result.text};`;
  });
  const coordinates = sizes.length > 0 ? coordinatesWgsl(sizes, width) : { overrides: "", statements: [] };
  const declarations = [
    used.scalars ? STEP_SCALARS_WGSL : "",
    expressionTypesWgsl(width) + (coordinates.overrides === "" ? "" : `\n${coordinates.overrides}\n`),
    accesses.map((access) => access.declarations).join("\n"),
    outputs.map(({ dtype }, which) =>
      `@group(0) @binding(${read.length + which}) var<storage, read_write> output_${which}: array<${
        TYPE_NAMES[dtype]
      }>;`
    ).join("\n"),
    used.scalars
      ? `@group(0) @binding(${read.length + outputs.length}) var<uniform> scalars: StepScalars;`
      : "",
    opaqueWgsl(width),
    expressionFunctionsWgsl(writer.functions, width),
  ];
  const loads = read.flatMap(({ index, dtype, fill }, which) => {
    const { load = "", guard } = accesses[which] ?? {};
    if (guard === undefined) return [`let element_${index} = ${load};`];
    return [
      `var element_${index} = ${opaqueLiteral(fill ?? 0, computeDTypeOf(dtype))};`,
      `if (${guard}) {`,
      `  element_${index} = ${load};`,
      "}",
    ];
  });
  const body = [...coordinates.statements, ...loads, ...writer.statements, ...results];
  return `override count: u32;
${declarations.filter((text) => text !== "").join("\n")}
${LINEAR_MAIN_WGSL}
${HIDE_WGSL}
${body.map((line) => `  ${line}`).join("\n")}
}
`;
}
