import { kindOf } from "../../../base/options/kind_of.ts";
import { pullBack } from "../../autodiff.ts";
import { createValue, definitionOf, newestId, recomputed } from "../../create_value.ts";
import type { OpDefinition } from "../../op.ts";
import type { Value } from "../../value.ts";

/**
 * `f`, of which nothing is kept for the way back: what is computed inside of it is computed again when its gradient
 * is, from its inputs and from whatever else it uses. The plan then needs less memory, and a step takes the time of
 * one forward pass of `f` more. Results and gradients have the same bits, random numbers included.
 *
 * As `jax.checkpoint` and PyTorch's `checkpoint`; `f` is called once.
 *
 * @example
 * ```ts
 * const wide = ops.remat((x) => ops.mul(ops.exp(x), ops.sin(x)));
 * const y = wide(ops.input("x", "f32", [4]));
 * ```
 */
export function remat<Inputs extends readonly Value[]>(
  f: (...inputs: Inputs) => Value,
): (...inputs: Inputs) => Value {
  if (typeof f !== "function") {
    throw new TypeError(`remat: takes a function of values, found ${kindOf(f)}; hand it over, uncalled`);
  }
  return (...inputs) => {
    const before = newestId();
    const result = requireResult("remat", f(...inputs));
    const isInside = (value: Value): boolean => value.id > before && !isSource(value);
    if (!isInside(result)) return result;
    const outside = new Set<Value>();
    for (const value of insideOf(result, isInside)) {
      for (const input of value.inputs) {
        if (!isInside(input)) outside.add(input);
      }
    }
    return createValue(rematOp, [result, ...outside], {}, result.dtype, result.shape);
  };
}

/** The result of a user's function, or a `TypeError`. */
export function requireResult(what: string, result: Value): Value {
  const found: unknown = result;
  if (typeof found === "object" && found !== null && "op" in found) return result;
  throw new TypeError(`${what}: the function gives ${kindOf(found)}, expected one value`);
}

/** What is in memory in any case. */
function isSource(value: Value): boolean {
  return definitionOf(value).lowering.kind === "source";
}

/** `last` and what it is computed from within, in order of execution. */
function insideOf(last: Value, isInside: (value: Value) => boolean): Value[] {
  const found = new Set<Value>();
  const waiting = [last];
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    if (found.has(value)) continue;
    found.add(value);
    waiting.push(...value.inputs.filter(isInside));
  }
  return [...found].sort((a, b) => a.id - b.id);
}

/** The first input under another name; the others are what it is computed from outside of the function. */
export const rematOp: OpDefinition = {
  name: "remat",
  gradient(value, outGrad, isNeeded) {
    const [result, ...outside] = value.inputs;
    if (result === undefined) return [];
    // New values, so that the walk back ends at them, and what depends on one another outside is not counted twice.
    const copies = new Map(outside.map((input) => [input, rematInput(input)]));
    for (const inner of insideOf(result, (input) => !copies.has(input))) {
      const inputs = inner.inputs.map((input) => copies.get(input) ?? input);
      copies.set(inner, recomputed(inner, inputs));
    }
    const needed = outside.filter(isNeeded);
    const found = pullBack(
      copies.get(result) ?? result,
      outGrad,
      needed.map((input) => copies.get(input) ?? input),
    );
    // Not their sums: added up in the order of the way back, they have the bits that they have without remat.
    const contributionsTo = new Map(needed.map((input, index) => [input, found[index]]));
    return [undefined, ...outside.map((input) => contributionsTo.get(input))];
  },
  lowering: { kind: "view" },
};

/** Numbers stay what they are, so that kernels have them as literals. */
function rematInput(value: Value): Value {
  const isNumber = value.inputs.length === 0 && definitionOf(value).lowering.kind === "elementwise";
  return isNumber ? value : createValue(rematInputOp, [value], {}, value.dtype, value.shape);
}

/** What a function is computed from again: its input under another name. */
export const rematInputOp: OpDefinition = {
  name: "rematInput",
  gradient: (_value, outGrad) => [outGrad],
  lowering: { kind: "view" },
};
