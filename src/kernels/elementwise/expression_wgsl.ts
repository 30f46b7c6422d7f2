import { bitsOf } from "../float_bits.ts";
import type { ComputeDType, Expression, Term, WgslFunction } from "./expression.ts";
import { resultDType } from "./expression_dtype.ts";
import { SIGNED_FROM_FLOAT, UNSIGNED_FROM_FLOAT } from "./expression_functions.ts";

/** The name, in generated code, of the type that holds one or four elements. */
export const TYPE_NAMES: Readonly<Record<ComputeDType, string>> = {
  f32: "Float",
  i32: "Signed",
  u32: "Unsigned",
};

/**
 * Turns expressions into WGSL statements, each node into one `let`. A node that was met before, the same object, is not
 * computed again.
 *
 * Constants and the results of floats are opaque to the compiler (see `opaque.ts`): it computes each operation on its
 * own, as the graph says. So the bits do not depend on what was fused with what.
 */
export class ExpressionWriter {
  /** `let value_0 = …;` and so on. */
  readonly statements: string[] = [];
  /** What the statements call. */
  readonly functions: Set<WgslFunction> = new Set();
  readonly #inputs: readonly Term[];
  readonly #terms = new Map<Expression, Term>();

  /** `inputs[i]` names the loaded element of input `i`. */
  constructor(inputs: readonly Term[]) {
    this.#inputs = inputs;
  }

  /** The value of `expression`; `TypeError` when an operation does not take its operands. */
  write(expression: Expression): Term {
    const known = this.#terms.get(expression);
    if (known !== undefined) return known;
    const term = this.#term(expression);
    this.#terms.set(expression, term);
    return term;
  }

  #term(expression: Expression): Term {
    switch (expression.kind) {
      case "input":
        return this.#input(expression.index);
      case "constant":
        return this.#constant(expression.value, expression.dtype);
      case "scalar":
        return { text: scalarValue(expression.index), dtype: "f32" };
      case "apply": {
        const operands = expression.operands.map((operand) => this.write(operand));
        const dtype = resultDType(expression.function, operands.map((operand) => operand.dtype));
        return this.#let(expression.function.wgsl(operands, this.#call), dtype);
      }
      case "select": {
        const condition = this.write(expression.condition);
        const [a, b] = [this.write(expression.a), this.write(expression.b)];
        if (condition.dtype !== "u32" || a.dtype !== b.dtype) {
          throw new TypeError(
            `"select" takes a u32 and two of one dtype, not ${condition.dtype}, ${a.dtype}, ${b.dtype}`,
          );
        }
        return this.#let(`select(${b.text}, ${a.text}, ${isTrue(condition)})`, a.dtype);
      }
      case "cast": {
        const a = this.write(expression.a);
        return a.dtype === expression.dtype
          ? a
          : this.#let(this.#cast(a, expression.dtype), expression.dtype);
      }
    }
  }

  #input(index: number): Term {
    const input = this.#inputs[index];
    if (input === undefined) {
      throw new RangeError(`The expression reads input ${index} of ${this.#inputs.length} inputs`);
    }
    return input;
  }

  #constant(value: number, dtype: ComputeDType): Term {
    const hidden = dtype === "f32" ? literal(value, dtype) : opaqueLiteral(value, dtype);
    return { ...this.#let(hidden, dtype), constant: value };
  }

  #let(value: string, dtype: ComputeDType): Term {
    const text = `value_${this.statements.length}`;
    this.statements.push(`let ${text} = ${dtype === "f32" ? `opaque(${value})` : value};`);
    return { text, dtype };
  }

  readonly #call = (callee: WgslFunction, ...operands: readonly Term[]): string => {
    this.#add(callee);
    return `${callee.name}(${operands.map(({ text }) => text).join(", ")})`;
  };

  #add(callee: WgslFunction): void {
    for (const needed of callee.needs ?? []) this.#add(needed);
    this.functions.add(callee);
  }

  #cast(a: Term, dtype: ComputeDType): string {
    if (a.dtype !== "f32") return `${TYPE_NAMES[dtype]}(${a.text})`;
    return this.#call(dtype === "i32" ? SIGNED_FROM_FLOAT : UNSIGNED_FROM_FLOAT, a);
  }
}

/**
 * An operand that compilers cannot find equal to the other one: they take `x - x` for 0 and `x / x` for 1, whatever x
 * is.
 */
export function apart({ text, dtype }: Term): string {
  return dtype === "f32" ? `apart(${text})` : text;
}

/** Whether a `u32` is not 0, as a `Logical`. */
export function isTrue({ text }: Term): string {
  return `(${text} != Unsigned())`;
}

/** The value at `index` of the step's scalars. */
function scalarValue(index: number): string {
  if (!Number.isInteger(index) || index < 0 || index > 15) {
    throw new RangeError(`StepScalars has values 0 to 15, no value ${index}`);
  }
  return `Float(scalars.values[${Math.floor(index / 4)}].${"xyzw".charAt(index % 4)})`;
}

/** `value` as WGSL that no compiler knows. */
export function opaqueLiteral(value: number, dtype: ComputeDType): string {
  const hide = { f32: "opaque", i32: "opaque_signed", u32: "opaque_unsigned" }[dtype];
  return `${hide}(${literal(value, dtype)})`;
}

const SMALLEST_NORMAL = 2 ** -126;

/** `value` as WGSL: by its bits where a literal could not say it. */
function literal(value: number, dtype: ComputeDType): string {
  if (dtype === "f32") {
    const float = Math.fround(value);
    const isPlain = Number.isFinite(float) && (Math.abs(float) >= SMALLEST_NORMAL || Object.is(float, 0));
    return isPlain ? `Float(${float}f)` : `Float(from_bits(0x${bitsOf(float).toString(16)}u))`;
  }
  const [low, high] = dtype === "i32" ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1];
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new RangeError(
      `A constant of dtype ${dtype} is a whole number from ${low} to ${high}, not ${value}`,
    );
  }
  if (dtype === "u32") return `Unsigned(${value}u)`;
  // The literal of the smallest would be the negative of a number that is out of range.
  return value === low ? "Signed(-2147483647 - 1)" : `Signed(${value})`;
}
