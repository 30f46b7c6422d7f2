import type { DType } from "../../base/dtype.ts";
import type { BinaryOp, ComputeDType, UnaryOp } from "../../kernels/elementwise/expression.ts";
import { type ElementwiseCost, item, type OpDefinition } from "../op.ts";
import { constant, createValue, type Value } from "../value.ts";
import { broadcastOf, COMPUTE_DTYPES, requireDType, requireSameDType } from "./requirements.ts";
import { sumTo } from "./sum.ts";

// What the elementwise families have in common.

/** An operand of an elementwise function: a value, or a number, which takes the dtype of the other operand. */
export type Operand = Value | number;

/** A value of the elementwise op `op` of one operand. */
export function unaryValue(op: string, a: Value, allowed: readonly DType[], dtype: DType = a.dtype): Value {
  requireDType(op, a, allowed);
  return createValue(op, [a], {}, dtype, a.shape);
}

/** What a binary op takes and gives where it is not any compute dtype and the same. */
export interface BinaryDTypes {
  readonly allowed?: readonly DType[];
  readonly result?: ComputeDType;
}

/** A value of the elementwise op `op` of two operands of one dtype that broadcast. */
export function binaryValue(op: string, a: Operand, b: Operand, dtypes: BinaryDTypes = {}): Value {
  const [left, right] = operandsOf(a, b);
  requireDType(op, left, dtypes.allowed ?? COMPUTE_DTYPES);
  requireSameDType(op, left, right);
  return createValue(op, [left, right], {}, dtypes.result ?? left.dtype, broadcastOf(op, left, right));
}

/** Both operands as values. A number becomes a constant of the other's dtype, or `f32` beside another number. */
export function operandsOf(a: Operand, b: Operand): [Value, Value] {
  if (typeof a !== "number") return [a, typeof b === "number" ? constantLike(b, a) : b];
  return typeof b === "number" ? [constant(a), constant(b)] : [constantLike(a, b), b];
}

/** The number `value` in the dtype of `like`. */
export function constantLike(value: number, like: Value): Value {
  return constant(value, like.dtype === "i32" || like.dtype === "u32" ? like.dtype : "f32");
}

/** Gradient of a unary op from its operand, its result and the gradient of the result. */
export type UnaryGradient = (a: Value, result: Value, outGrad: Value) => Value;

/** Definition of an elementwise op of one operand. */
export function unaryOp(
  op: UnaryOp,
  name: string,
  cost: ElementwiseCost,
  gradient?: UnaryGradient,
): OpDefinition {
  return {
    name,
    lowering: {
      kind: "elementwise",
      cost,
      expression: (_value, inputs) => ({ kind: "unary", op, a: item(inputs, 0) }),
    },
    gradient: (value, outGrad) =>
      gradient === undefined || value.dtype !== "f32"
        ? []
        : [gradient(item(value.inputs, 0), value, outGrad)],
  };
}

/** Gradient of one operand of a binary op, of the result's shape: it is summed down to the operand's. */
export type BinaryGradient = (outGrad: Value, a: Value, b: Value, result: Value) => Value;

/** Definition of an elementwise op of two operands. */
export function binaryOp(
  op: BinaryOp,
  name: string,
  cost: ElementwiseCost,
  gradients?: readonly [BinaryGradient, BinaryGradient],
): OpDefinition {
  return {
    name,
    lowering: {
      kind: "elementwise",
      cost,
      expression: (_value, inputs) => ({ kind: "binary", op, a: item(inputs, 0), b: item(inputs, 1) }),
    },
    gradient(value, outGrad) {
      if (gradients === undefined || value.dtype !== "f32") return [];
      const a = item(value.inputs, 0);
      const b = item(value.inputs, 1);
      return [
        sumTo(gradients[0](outGrad, a, b, value), a.shape),
        sumTo(gradients[1](outGrad, a, b, value), b.shape),
      ];
    },
  };
}
