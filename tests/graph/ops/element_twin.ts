import type { Operand } from "../../../src/graph/ops/elementwise.ts";
import type { Value } from "../../../src/graph/value.ts";
import type { Enclosure } from "../../helpers/enclosure.ts";
import type { OpCase } from "../op_case.ts";
import type { OpUse } from "./op_twin.ts";

/**
 * All that the tests know of an elementwise op: a new op needs an entry under the name of its function, and nothing
 * else. Functions of one operand are given NaN for the other.
 */
export interface ElementTwin {
  /** Of floats, in float64. */
  readonly float: (x: number, y: number) => number;
  /** Of integers, before they wrap at 32 bits, where that is something else. */
  readonly whole?: (x: number, y: number) => number;
  /** Whether it gives 0 or 1, of operands of any dtype. */
  readonly isLogical?: true;
  /** Of floats (of any dtype where logical): what IEEE 754 and the accuracy of WGSL's functions allow. */
  readonly enclose: (a: Enclosure, b: Enclosure) => Enclosure;
  /** Left out for an op that only other functions make. */
  readonly use?: OpUse;
  /** Where its gradient is checked and its result compared on the GPU. Logical ops have none of their own. */
  readonly cases?: readonly OpCase[];
}

/** The twins of a family of ops. */
export type ElementTwins = Readonly<Record<string, ElementTwin>>;

type ComputeDType = "f32" | "i32" | "u32";

/** Uses a function of one float. */
export function ofFloat(op: (a: Value) => Value): OpUse {
  return (maker) => op(maker.f32());
}

/** Uses a function of one operand, more often of a float. */
export function ofAny(op: (a: Value) => Value, dtypes: readonly ComputeDType[]): OpUse {
  return (maker) => op(maker.value(maker.random.chance(0.6) ? "f32" : maker.random.pick(dtypes)));
}

/** Uses a function of two operands, in either order. */
export function ofTwo(
  op: (a: Operand, b: Operand) => Value,
  dtypes: readonly ComputeDType[] = ["f32", "i32", "u32"],
): OpUse {
  return (maker) => {
    const a = maker.value(maker.random.chance(0.6) ? "f32" : maker.random.pick(dtypes));
    const b = maker.beside(a);
    return maker.random.chance(0.5) ? op(a, b) : op(b, a);
  };
}

/** Uses a function of two logical values. */
export function ofLogic(op: (a: Value, b: Value) => Value): OpUse {
  return (maker) => {
    const a = maker.value("u32");
    return op(a, maker.tensorBeside(a, "u32"));
  };
}
