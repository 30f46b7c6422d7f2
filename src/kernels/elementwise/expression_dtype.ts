import type { DType } from "../../base/dtype.ts";
import type { ArithmeticOp, BinaryOp, ComputeDType, Expression, UnaryOp } from "./expression.ts";

const COMPUTE_DTYPES: Readonly<Partial<Record<DType, ComputeDType>>> = {
  f32: "f32",
  f16: "f32",
  bf16: "f32",
  i32: "i32",
  i16: "i32",
  i8: "i32",
  u32: "u32",
  u16: "u32",
  u8: "u32",
  bool: "u32",
};

/** The dtype that elements stored as `storage` are loaded as. Throws `TypeError` for 64-bit dtypes, which GPUs lack. */
export function computeDTypeOf(storage: DType): ComputeDType {
  const dtype = COMPUTE_DTYPES[storage];
  if (dtype === undefined) throw new TypeError(`The GPU cannot compute with ${storage}; cast it on the host`);
  return dtype;
}

const ANY: readonly ComputeDType[] = ["f32", "i32", "u32"];
const SIGNED: readonly ComputeDType[] = ["f32", "i32"];
const FLOAT: readonly ComputeDType[] = ["f32"];

const UNARY_OPERANDS: Readonly<Record<UnaryOp, readonly ComputeDType[]>> = {
  neg: SIGNED,
  abs: ANY,
  exp: FLOAT,
  log: FLOAT,
  sqrt: FLOAT,
  rsqrt: FLOAT,
  tanh: FLOAT,
  sigmoid: FLOAT,
  relu: SIGNED,
  sin: FLOAT,
  cos: FLOAT,
  floor: FLOAT,
  sign: ANY,
  square: ANY,
  reciprocal: FLOAT,
  not: ANY,
  isnan: FLOAT,
};

const ARITHMETIC: Readonly<Record<ArithmeticOp, readonly ComputeDType[]>> = {
  add: ANY,
  sub: ANY,
  mul: ANY,
  div: ANY,
  pow: FLOAT,
  max: ANY,
  min: ANY,
  mod: ANY,
};

/** The dtype of `op` of an operand; `TypeError` where it has none. */
export function unaryDType(op: UnaryOp, operand: ComputeDType): ComputeDType {
  if (!UNARY_OPERANDS[op].includes(operand)) throw new TypeError(`"${op}" does not take ${operand}`);
  return op === "not" || op === "isnan" ? "u32" : operand;
}

/** The dtype of `op` of two operands; `TypeError` where it has none. */
export function binaryDType(op: BinaryOp, a: ComputeDType, b: ComputeDType): ComputeDType {
  if (a !== b) throw new TypeError(`"${op}" takes two operands of one dtype, not ${a} and ${b}; cast one`);
  if (op === "and" || op === "or") {
    if (a !== "u32") throw new TypeError(`"${op}" takes u32, not ${a}`);
    return "u32";
  }
  if (!(op in ARITHMETIC)) return "u32";
  if (!ARITHMETIC[op as ArithmeticOp].includes(a)) throw new TypeError(`"${op}" does not take ${a}`);
  return a;
}

/** The operands of an expression, in order. */
export function operandsOf(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case "unary":
    case "cast":
      return [expression.a];
    case "binary":
      return [expression.a, expression.b];
    case "select":
      return [expression.condition, expression.a, expression.b];
    case "input":
    case "constant":
    case "scalar":
      return [];
  }
}
