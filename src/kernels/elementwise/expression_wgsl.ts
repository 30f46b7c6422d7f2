import type {
  ArithmeticOp,
  BinaryOp,
  ComparisonOp,
  ComputeDType,
  Expression,
  UnaryOp,
} from "./expression.ts";
import { binaryDType, unaryDType } from "./expression_dtype.ts";
import type { ExpressionFunction } from "./expression_functions.ts";
import { bitsOf } from "../float_bits.ts";

/** The name, in generated code, of the type that holds one or four elements. */
export const TYPE_NAMES: Readonly<Record<ComputeDType, string>> = {
  f32: "Float",
  i32: "Signed",
  u32: "Unsigned",
};

/** A value of generated code. */
interface Term {
  readonly text: string;
  readonly dtype: ComputeDType;
}

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
  readonly functions: Set<ExpressionFunction> = new Set();
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
      case "unary": {
        const a = this.write(expression.a);
        const dtype = unaryDType(expression.op, a.dtype);
        return this.#let(this.#unary(expression.op, a), dtype);
      }
      case "binary": {
        const [a, b] = [this.write(expression.a), this.write(expression.b)];
        const dtype = binaryDType(expression.op, a.dtype, b.dtype);
        const power = expression.op === "pow" ? exactPower(a, expression.b) : undefined;
        return this.#let(power ?? this.#binary(expression.op, a, b), dtype);
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
    const text = literal(value, dtype);
    return this.#let(
      dtype === "f32" ? text : `opaque_${dtype === "i32" ? "signed" : "unsigned"}(${text})`,
      dtype,
    );
  }

  #let(value: string, dtype: ComputeDType): Term {
    const text = `value_${this.statements.length}`;
    this.statements.push(`let ${text} = ${dtype === "f32" ? `opaque(${value})` : value};`);
    return { text, dtype };
  }

  #call(name: ExpressionFunction, ...operands: readonly Term[]): string {
    this.functions.add(name);
    return `${name}(${operands.map(({ text }) => text).join(", ")})`;
  }

  #unary(op: UnaryOp, a: Term): string {
    const isFloat = a.dtype === "f32";
    switch (op) {
      case "neg":
        return `-${a.text}`;
      case "abs":
      case "exp":
      case "log":
      case "sqrt":
      case "sin":
      case "cos":
      case "floor":
        return `${op}(${a.text})`;
      case "rsqrt":
        return `inverseSqrt(${a.text})`;
      case "reciprocal":
        return `Float(1.0) / ${a.text}`;
      case "square":
        return `${a.text} * ${a.text}`;
      case "tanh":
        return this.#call("tanh_of", a);
      case "sigmoid":
        return this.#call("sigmoid", a);
      case "relu":
        return isFloat ? this.#call("relu", a) : `max(${a.text}, Signed())`;
      case "sign":
        if (a.dtype === "u32") return `min(${a.text}, Unsigned(1u))`;
        return isFloat ? this.#call("sign_or_nan", a) : `sign(${a.text})`;
      case "not":
        return `Unsigned(${a.text} == ${TYPE_NAMES[a.dtype]}())`;
      case "isnan":
        return `Unsigned(is_nan(${a.text}))`;
    }
  }

  #binary(op: BinaryOp, a: Term, b: Term): string {
    if (op === "and") return `Unsigned(${isTrue(a)} & ${isTrue(b)})`;
    if (op === "or") return `Unsigned(${isTrue(a)} | ${isTrue(b)})`;
    return op in COMPARISONS
      ? `Unsigned(${comparison(op as ComparisonOp, a, b)})`
      : this.#arithmetic(op as ArithmeticOp, a, b);
  }

  #arithmetic(op: ArithmeticOp, a: Term, b: Term): string {
    switch (op) {
      case "add":
        return `${a.text} + ${b.text}`;
      case "sub":
        return `${a.text} - ${apart(b)}`;
      case "mul":
        return `${a.text} * ${b.text}`;
      case "div":
        return `${a.text} / ${apart(b)}`;
      case "mod":
        return a.dtype === "f32" ? this.#call("remainder", a, b) : `${a.text} % ${b.text}`;
      case "pow":
        return this.#call("power", a, b);
      case "max":
      case "min":
        return a.dtype === "f32" ? this.#call(`${op}_or_nan`, a, b) : `${op}(${a.text}, ${b.text})`;
    }
  }

  #cast(a: Term, dtype: ComputeDType): string {
    if (a.dtype !== "f32") return `${TYPE_NAMES[dtype]}(${a.text})`;
    return this.#call(dtype === "i32" ? "signed_from_float" : "unsigned_from_float", a);
  }
}

const COMPARISONS: Readonly<Record<ComparisonOp, string>> = {
  equal: "==",
  notEqual: "!=",
  less: "<",
  lessEqual: "<=",
  greater: ">",
  greaterEqual: ">=",
};

/**
 * A compiler that assumes that there is no NaN finds `x == x` true, and Mesa's `!=` is false for a NaN. So the
 * comparisons that hold for equals ask, and `notEqual` does.
 */
function comparison(op: ComparisonOp, a: Term, b: Term): string {
  const compared = `(${a.text} ${COMPARISONS[op]} ${b.text})`;
  if (a.dtype !== "f32" || op === "less" || op === "greater") return compared;
  if (op === "notEqual") return `${compared} | is_nan(${a.text}) | is_nan(${b.text})`;
  return `${compared} & !is_nan(${a.text})`;
}

/**
 * An operand that compilers cannot find equal to the other one: they take `x - x` for 0 and `x / x` for 1, whatever x
 * is.
 */
function apart({ text, dtype }: Term): string {
  return dtype === "f32" ? `apart(${text})` : text;
}

/** Powers that a multiplication or two give exactly. A general power is the exponential of a logarithm. */
function exactPower({ text }: Term, exponent: Expression): string | undefined {
  if (exponent.kind !== "constant") return undefined;
  switch (exponent.value) {
    case 1:
      return text;
    case 2:
      return `${text} * ${text}`;
    case 3:
      return `${text} * ${text} * ${text}`;
    case -1:
      return `Float(1.0) / ${text}`;
    default:
      return undefined;
  }
}

function isTrue({ text }: Term): string {
  return `(${text} != Unsigned())`;
}

/** The value at `index` of the step's scalars. */
function scalarValue(index: number): string {
  if (!Number.isInteger(index) || index < 0 || index > 15) {
    throw new RangeError(`StepScalars has values 0 to 15, no value ${index}`);
  }
  return `Float(scalars.values[${Math.floor(index / 4)}].${"xyzw".charAt(index % 4)})`;
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
