import type { DType } from "../../base/dtype.ts";
import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { type ComputeDType, type Expression, operandsOf } from "./expression.ts";
import { computeDTypeOf } from "./expression_dtype.ts";
import { expressionFunctionsWgsl, expressionTypesWgsl } from "./expression_functions.ts";
import { ExpressionWriter, TYPE_NAMES } from "./expression_wgsl.ts";
import { HIDE_WGSL, opaqueWgsl } from "../opaque.ts";
import { requireElements, requireSizes } from "../sizes.ts";
import { STEP_SCALARS_WGSL } from "../step_scalars.ts";
import {
  collapse,
  coordinateConstants,
  coordinatesWgsl,
  type InputAccess,
  inputAccess,
} from "./strided_access.ts";

/** A tensor that an elementwise kernel reads. */
export interface ElementwiseInput<B> {
  readonly binding: B;
  /** As it is stored; `f16`, `bf16`, `bool` and 8- and 16-bit integers are unpacked, and 64-bit dtypes refused. */
  readonly dtype: DType;
  /** Elements between neighbours along each dimension of the shape; 0 repeats one element. */
  readonly strides: readonly number[];
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

/** Every adapter binds this many. */
const MAX_STORAGE_BINDINGS = 8;

/**
 * One kernel that computes every element of the outputs from the elements at the same place in the inputs.
 *
 * Four neighbouring elements are computed at a time where the innermost dimension allows it. Bindings are the inputs that an
 * expression reads, in order, then the outputs, then the scalars if an expression reads them. Throws `TypeError`
 * for operations that do not take their operands, and `RangeError` for sizes and numbers that do not fit.
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
  const { sizes, strides } = collapse(shape, read.map((input) => input.strides));
  const width = (sizes.at(-1) ?? 1) % 4 === 0 ? 4 : 1;
  const accesses = read.map(({ index, dtype }, binding) =>
    inputAccess(index, binding, dtype, sizes, strides[binding] ?? [], width)
  );
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
  inputs.forEach(({ strides }, index) => {
    if (strides.length !== shape.length) {
      throw new TypeError(
        `${label}: input ${index} has ${strides.length} strides for a shape of ${shape.length} dimensions`,
      );
    }
    requireSizes(
      label,
      Object.fromEntries(strides.map((stride, axis) => [`stride ${axis} of input ${index}`, stride])),
    );
  });
  return requireElements(label, shape);
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
  readonly read: readonly { readonly index: number }[];
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
  const loads = read.map(({ index }, which) => `let element_${index} = ${accesses[which]?.load ?? ""};`);
  const body = [...coordinates.statements, ...loads, ...writer.statements, ...results];
  return `override count: u32;
${declarations.filter((text) => text !== "").join("\n")}
${LINEAR_MAIN_WGSL}
${HIDE_WGSL}
${body.map((line) => `  ${line}`).join("\n")}
}
`;
}
