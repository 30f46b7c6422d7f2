/** The element types that shaders compute in. A logical value is a `u32` that is 0 or 1. */
export type ComputeDType = "f32" | "i32" | "u32";

/** A value of generated code. */
export interface Term {
  readonly text: string;
  readonly dtype: ComputeDType;
  /** What it is, where that is known when the code is generated. */
  readonly constant?: number;
}

/** A function in WGSL that generated code calls. Its types are those of `expressionTypesWgsl`. */
export interface WgslFunction {
  readonly name: string;
  readonly code: string;
  /** Functions that it calls. */
  readonly needs?: readonly WgslFunction[];
}

/** Adds `callee` to the kernel, and gives the call of it as text. */
export type CallFunction = (callee: WgslFunction, ...operands: readonly Term[]) => string;

/** What an op computes of one element of each of its operands. All have one dtype. */
export interface ElementwiseFunction {
  /** Stands in messages. */
  readonly name: string;
  /** The dtypes that it takes. */
  readonly takes: readonly ComputeDType[];
  /** The dtype of the result; that of the operands when left out. */
  readonly gives?: ComputeDType | undefined;
  /**
   * The result as WGSL. The operands are opaque to the compiler, and the result is made so; where a compiler may take
   * equal operands for a known result, one of them has to be `apart`.
   */
  wgsl(operands: readonly Term[], call: CallFunction): string;
}

/**
 * What an elementwise kernel computes for one element. A tree, or a graph: a node that is referred to twice (the same
 * object) is computed once.
 */
export type Expression =
  /** Element of `inputs[index]`, in the dtype that its storage dtype is loaded as: see `computeDTypeOf`. */
  | { readonly kind: "input"; readonly index: number }
  /** May be NaN or infinite for `f32`; otherwise a whole number in the dtype's range. */
  | { readonly kind: "constant"; readonly value: number; readonly dtype: ComputeDType }
  | {
    readonly kind: "apply";
    readonly function: ElementwiseFunction;
    readonly operands: readonly Expression[];
  }
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

/** The operands of an expression, in order. */
export function operandsOf(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case "apply":
      return expression.operands;
    case "cast":
      return [expression.a];
    case "select":
      return [expression.condition, expression.a, expression.b];
    case "input":
    case "constant":
    case "scalar":
      return [];
  }
}
