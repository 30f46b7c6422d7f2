/** The element types that shaders compute in. A logical value is a `u32` that is 0 or 1. */
export type ComputeDType = "f32" | "i32" | "u32";

/**
 * Functions of one value. `not` and `isnan` give a `u32` that is 0 or 1; every other keeps its operand's dtype.
 * `neg`, `abs`, `sign`, `square` and `relu` also take `i32`, `not`, `square`, `abs` and `sign` any; the rest is for `f32`.
 */
export type UnaryOp =
  | "neg"
  | "abs"
  | "exp"
  | "log"
  | "sqrt"
  | "rsqrt"
  | "tanh"
  | "sigmoid"
  | "relu"
  | "sin"
  | "cos"
  | "floor"
  | "sign"
  | "square"
  | "reciprocal"
  | "not"
  | "isnan";

/** Functions of two values of one dtype. */
export type BinaryOp = ArithmeticOp | ComparisonOp | LogicalOp;

/**
 * Give their operands' dtype. `max` and `min` of a NaN and a number are NaN, as in PyTorch. `mod` has the sign of the
 * dividend. Of integers, `x / 0` is x and `x mod 0` is 0, and results wrap at 32 bits. `pow` is for `f32`; a negative
 * number has only whole powers, the others are NaN.
 */
export type ArithmeticOp = "add" | "sub" | "mul" | "div" | "pow" | "max" | "min" | "mod";

/** Give a `u32` that is 0 or 1. A comparison with NaN is 0, except `notEqual`, which is 1. */
export type ComparisonOp = "equal" | "notEqual" | "less" | "lessEqual" | "greater" | "greaterEqual";

/** Take two `u32`, where anything but 0 is true, and give 0 or 1. */
export type LogicalOp = "and" | "or";

/**
 * What an elementwise kernel computes for one element. A tree, or a graph: a node that is referred to twice (the same
 * object) is computed once.
 */
export type Expression =
  /** Element of `inputs[index]`, in the dtype that its storage dtype is loaded as: see `computeDTypeOf`. */
  | { readonly kind: "input"; readonly index: number }
  /** May be NaN or infinite for `f32`; otherwise a whole number in the dtype's range. */
  | { readonly kind: "constant"; readonly value: number; readonly dtype: ComputeDType }
  | { readonly kind: "unary"; readonly op: UnaryOp; readonly a: Expression }
  | { readonly kind: "binary"; readonly op: BinaryOp; readonly a: Expression; readonly b: Expression }
  /** `a` where the `u32` `condition` is not 0, else `b`. */
  | {
    readonly kind: "select";
    readonly condition: Expression;
    readonly a: Expression;
    readonly b: Expression;
  }
  /** `f32` to an integer rounds towards zero, clamps to the dtype's range, and makes NaN 0. */
  | { readonly kind: "cast"; readonly a: Expression; readonly dtype: ComputeDType }
  /** `values[index]` of the step's `StepScalars`, an `f32`. */
  | { readonly kind: "scalar"; readonly index: number };
