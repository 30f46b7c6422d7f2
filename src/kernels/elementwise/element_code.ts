import type { DType } from "../../base/dtype.ts";
import { opaqueWgsl } from "../opaque.ts";
import { type ComputeDType, type Expression, operandsOf } from "./expression.ts";
import { computeDTypeOf } from "./expression_dtype.ts";
import { expressionFunctionsWgsl, expressionTypesWgsl } from "./expression_functions.ts";
import { ExpressionWriter, opaqueLiteral } from "./expression_wgsl.ts";
import type { SixteenBits } from "./sixteen_bits.ts";
import {
  type Bounds,
  collapse,
  type Collapsed,
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

/** What is read, and by whom. */
export interface ElementSource<B> {
  readonly inputs: readonly ElementwiseInput<B>[];
  /** What the inputs are walked along. */
  readonly shape: readonly number[];
  /** For errors. */
  readonly label: string;
  /** The number of the first binding. Default 0. */
  readonly firstBinding?: number;
  /** An input that the kernel has already, in `element_` and its number: it is not bound. Default: none. */
  readonly given?: number;
  /** How many elements are computed at a time. Default: four, where the innermost dimension allows it. */
  readonly width?: 1 | 4;
}

/** What computes one element, or four neighbours, of each result: the part of a kernel that its expressions decide. */
export interface ElementCode<B> {
  /** Types, override constants, bindings of the inputs, and functions. */
  readonly declarations: string;
  /** What computes the elements of `index`, in a function that has it. The entry point begins with `HIDE_WGSL`. */
  readonly statements: readonly string[];
  /** What was computed, in the order of the expressions. */
  readonly results: readonly string[];
  readonly constants: Readonly<Record<string, number>>;
  /** What the declarations bind, in order. */
  readonly bindings: readonly B[];
  /** Whether an expression reads the step's scalars, which are not declared here. */
  readonly usesScalars: boolean;
  /** How many neighbours each statement computes; `index` counts groups of so many. */
  readonly width: 1 | 4;
}

/** No place. */
const NOWHERE: readonly Bounds[] = [{ axis: 0, from: 0, to: 0 }];

/** The code of `outputs`. Throws `TypeError` for an expression of another dtype than its output. */
export function elementCode<B>(
  outputs: readonly { readonly dtype: ComputeDType | SixteenBits; readonly expression: Expression }[],
  source: ElementSource<B>,
): ElementCode<B> {
  const { inputs, shape, label, firstBinding = 0, given } = source;
  const used = usedBy(outputs.map(({ expression }) => expression));
  const read = [...used.inputs].filter((index) => index !== given).sort((a, b) => a - b).map((index) => ({
    index,
    ...inputAt(inputs, index, label),
  }));
  const collapsed = collapse(shape, read);
  const width = source.width ?? vectorWidthOf(collapsed);
  const accesses = accessesOf(read, collapsed, firstBinding, width);
  const sizes = accesses.some((access) => access.usesCoordinates) ? collapsed.sizes : [];
  const coordinates = sizes.length > 0 ? coordinatesWgsl(sizes, width) : { overrides: "", statements: [] };
  const writer = new ExpressionWriter(
    inputs.map(({ dtype }, index) => ({
      text: `element_${index}`,
      dtype: used.inputs.has(index) ? computeDTypeOf(dtype) : "f32",
    })),
  );
  const results = outputs.map(({ dtype, expression }, which) => {
    const result = writer.write(expression);
    if (result.dtype === computeDTypeOf(dtype)) return result.text;
    throw new TypeError(`Output ${which} is ${dtype}, and its expression ${result.dtype}`);
  });
  const declarations = [
    expressionTypesWgsl(width) + (coordinates.overrides === "" ? "" : `\n${coordinates.overrides}\n`),
    accesses.map((access) => access.declarations).join("\n"),
    opaqueWgsl(width),
    expressionFunctionsWgsl(writer.functions, width),
  ];
  return {
    declarations: declarations.filter((text) => text !== "").join("\n"),
    statements: [...coordinates.statements, ...loadsOf(read, accesses), ...writer.statements],
    results,
    constants: {
      ...sizes.length > 0 ? coordinateConstants(sizes) : {},
      ...Object.assign({}, ...accesses.map(({ constants }) => constants)),
    },
    bindings: read.map(({ binding }) => binding),
    usesScalars: used.scalars,
    width,
  };
}

/** An input that is loaded, with its number. */
interface ReadInput extends Walk {
  readonly index: number;
  readonly dtype: DType;
  readonly fill?: number;
}

function accessesOf(
  read: readonly ReadInput[],
  { sizes, walks }: Collapsed,
  firstBinding: number,
  width: 1 | 4,
): InputAccess[] {
  return read.map(({ index, dtype }, which) => {
    // An input that is never read is bound all the same, and read where no place is.
    const walk = walks[which] ?? { strides: sizes.map(() => 0), offset: 0, bounds: NOWHERE };
    return inputAccess(index, firstBinding + which, dtype, sizes, walk, width);
  });
}

function loadsOf(read: readonly ReadInput[], accesses: readonly InputAccess[]): string[] {
  return read.flatMap(({ index, dtype, fill }, which) => {
    const { load = "", guard } = accesses[which] ?? {};
    if (guard === undefined) return [`let element_${index} = ${load};`];
    return [
      `var element_${index} = ${opaqueLiteral(fill ?? 0, computeDTypeOf(dtype))};`,
      `if (${guard}) {`,
      `  element_${index} = ${load};`,
      "}",
    ];
  });
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
