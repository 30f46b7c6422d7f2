import { formatShape, shapesEqual } from "../tensor/shape.ts";
import { definitionOf, layerOf, madeIn } from "./create_value.ts";
import { item } from "./op.ts";
import { add } from "./ops/arithmetic.ts";
import { ones, zeros } from "./ops/fill.ts";
import { sumTo } from "./ops/sum.ts";
import { labelOf, reachable, sizeOf, type Value } from "./value.ts";

/**
 * Gradients of `loss`, an `f32` of one element, with respect to each of `wrt`: `f32` values of their shapes, zeros
 * where the loss does not depend on one. Reverse mode: one walk from the loss back, contributions added in a fixed
 * order. The gradients are values like any other, so they have gradients too.
 */
export function gradients(loss: Value, wrt: readonly Value[]): Value[] {
  return flowingGradients(loss, wrt).map((gradient, index) => gradient ?? zeros(item(wrt, index).shape));
}

/**
 * The same, with `undefined` for a value that no gradient reaches: the loss does not depend on it, or only by what
 * has no gradient, such as `stopGradient`. A gradient that is computed and happens to be zero is a gradient.
 */
export function flowingGradients(loss: Value, wrt: readonly Value[]): (Value | undefined)[] {
  if (loss.dtype !== "f32" || sizeOf(loss) !== 1) {
    throw new TypeError(
      `gradients: the loss is one f32, not ${loss.dtype} of shape ` +
        `${formatShape(loss.shape)}; take its sum or mean first`,
    );
  }
  const { gradientOf } = walkBack(loss, ones(loss.shape), wrt);
  return wrt.map((value) => gradientOf.get(value));
}

/**
 * What the gradients of `sum(value * outGrad)` with respect to each of `wrt` are the sums of, in the order in which
 * they are added up; nothing where none flows.
 */
export function pullBack(value: Value, outGrad: Value, wrt: readonly Value[]): readonly (readonly Value[])[] {
  const { contributionsTo } = walkBack(value, outGrad, wrt);
  return wrt.map((each) => contributionsTo.get(each) ?? []);
}

/** Gradients so far, and for each of `wrt` the terms of its own. */
interface Walk {
  readonly gradientOf: ReadonlyMap<Value, Value>;
  readonly contributionsTo: ReadonlyMap<Value, readonly Value[]>;
}

function walkBack(value: Value, outGrad: Value, wrt: readonly Value[]): Walk {
  const contributionsTo = new Map<Value, Value[]>(wrt.map((each) => [each, []]));
  const gradientOf = new Map<Value, Value>();
  const contribute = (to: Value, part: Value): void => {
    const earlier = gradientOf.get(to);
    gradientOf.set(to, earlier === undefined ? part : add(earlier, part));
    contributionsTo.get(to)?.push(part);
  };
  contribute(value, outGrad);
  const needed = dependingOn(wrt, value);
  const isNeeded = (input: Value): boolean => needed.has(input);
  for (const each of reachable([value]).reverse()) {
    const found = gradientOf.get(each);
    if (found === undefined || !isNeeded(each)) continue;
    madeIn(layerOf(each), () => {
      for (const [input, part] of inputGradients(each, found, isNeeded)) {
        if (isNeeded(input)) contribute(input, part);
      }
    });
  }
  return { gradientOf, contributionsTo };
}

function inputGradients(
  value: Value,
  outGrad: Value,
  isNeeded: (input: Value) => boolean,
): [Value, Value][] {
  const definition = definitionOf(value);
  const broadcasts = definition.lowering.kind === "elementwise";
  const found = definition.gradient?.(value, outGrad, isNeeded) ?? [];
  return value.inputs.flatMap((input, index) =>
    listOf(found[index]).map((given): [Value, Value] => {
      const inputGrad = broadcasts ? sumTo(given, input.shape) : given;
      if (!shapesEqual(inputGrad.shape, input.shape) || inputGrad.dtype !== "f32") {
        throw new TypeError(
          `${labelOf(value)}: the gradient of input ${index} is ${inputGrad.dtype} of shape ` +
            `${formatShape(inputGrad.shape)}; ` +
            `it has to be f32 of shape ${formatShape(input.shape)}`,
        );
      }
      return [input, inputGrad];
    })
  );
}

function listOf(given: Value | readonly Value[] | undefined): readonly Value[] {
  if (given === undefined) return [];
  return "op" in given ? [given] : given;
}

/** The values on the way from one of `wrt` to `last`: gradients of all others would be thrown away. */
function dependingOn(wrt: readonly Value[], last: Value): Set<Value> {
  const depending = new Set<Value>(wrt);
  for (const value of reachable([last])) {
    if (value.inputs.some((input) => depending.has(input))) depending.add(value);
  }
  return depending;
}
