import type {
  CallFunction,
  ComputeDType,
  ElementwiseFunction,
  Term,
} from "../../kernels/elementwise/expression.ts";
import { createValue } from "../create_value.ts";
import { type ElementwiseCost, type ElementwiseLowering, item, type OpDefinition } from "../op.ts";
import type { Value } from "../value.ts";
import { broadcastOf, requireDType, requireSameDType } from "./requirements.ts";
import { constant } from "./sources.ts";

// How an elementwise op is declared: one literal says everything about it.

/** What both kinds of elementwise ops say. */
interface Declaration {
  /** The name of the function that is exported. */
  readonly name: string;
  readonly takes: readonly ComputeDType[];
  /** The dtype of the result; that of the operands when left out. */
  readonly gives?: ComputeDType;
  /** `cheap` when left out. */
  readonly cost?: ElementwiseCost;
}

/** An elementwise op of one operand. */
export interface UnaryDeclaration extends Declaration {
  /** The result as WGSL. */
  wgsl(x: Term, call: CallFunction): string;
  /** The operand's gradient, given the operand, the result and the result's gradient. Left out where none flows. */
  gradient?(a: Value, result: Value, outGrad: Value): Value;
}

/** Declares an op of one operand. Gives the function that makes its values. */
export function unaryOp(declaration: UnaryDeclaration): (a: Value) => Value {
  const { name, takes, gives } = declaration;
  const definition: OpDefinition = {
    name,
    lowering: applied(declaration, (operands, call) => declaration.wgsl(item(operands, 0), call)),
    gradient: (value, outGrad) =>
      declaration.gradient === undefined || value.dtype !== "f32"
        ? []
        : [declaration.gradient(item(value.inputs, 0), value, outGrad)],
  };
  return (a) => {
    requireDType(name, a, takes);
    return createValue(definition, [a], {}, gives ?? a.dtype, a.shape);
  };
}

/** An operand of an elementwise function: a value, or a number, which takes the dtype of the other operand. */
export type Operand = Value | number;

/** Gradient of one operand of a binary op. It has the result's shape; autodiff sums it down to the operand's. */
export type BinaryGradient = (outGrad: Value, a: Value, b: Value, result: Value) => Value;

/** An elementwise op of two operands of one dtype that broadcast. */
export interface BinaryDeclaration extends Declaration {
  /** The result as WGSL. */
  wgsl(x: Term, y: Term, call: CallFunction): string;
  /** Those of both operands. Left out where none flows. */
  readonly gradients?: readonly [BinaryGradient, BinaryGradient?];
}

/** Declares an op of two operands. Gives the function that makes its values. */
export function binaryOp(declaration: BinaryDeclaration): (a: Operand, b: Operand) => Value {
  const { name, takes, gives, gradients = [] } = declaration;
  const definition: OpDefinition = {
    name,
    lowering: applied(
      declaration,
      (operands, call) => declaration.wgsl(item(operands, 0), item(operands, 1), call),
    ),
    gradient: (value, outGrad) =>
      value.dtype === "f32"
        ? gradients.map((gradient) =>
          gradient?.(outGrad, item(value.inputs, 0), item(value.inputs, 1), value)
        )
        : [],
  };
  return (a, b) => {
    const [left, right] = operandsOf(a, b);
    requireDType(name, left, takes);
    requireSameDType(name, left, right);
    return createValue(definition, [left, right], {}, gives ?? left.dtype, broadcastOf(name, left, right));
  };
}

/** Both operands as values. A number becomes a constant of the other's dtype, or `f32` beside another number. */
export function operandsOf(a: Operand, b: Operand): [Value, Value] {
  if (typeof a !== "number") return [a, typeof b === "number" ? constantLike(b, a) : b];
  return typeof b === "number" ? [constant(a), constant(b)] : [constantLike(a, b), b];
}

/** The number `value` in the dtype of `like`. */
function constantLike(value: number, like: Value): Value {
  return constant(value, like.dtype === "i32" || like.dtype === "u32" ? like.dtype : "f32");
}

function applied(
  { name, takes, gives, cost = "cheap" }: Declaration,
  wgsl: (operands: readonly Term[], call: CallFunction) => string,
): ElementwiseLowering {
  const applies: ElementwiseFunction = { name, takes, gives, wgsl };
  return {
    kind: "elementwise",
    cost,
    expression: (_value, operands) => ({ kind: "apply", function: applies, operands }),
  };
}
