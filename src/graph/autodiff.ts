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
  const gradientOf = new Map<Value, Value>([[loss, ones(loss.shape)]]);
  const isNeeded = dependingOn(wrt, loss);
  for (const value of reachable([loss]).reverse()) {
    const outGrad = gradientOf.get(value);
    if (outGrad === undefined || !isNeeded.has(value)) continue;
    madeIn(layerOf(value), () => {
      for (const [input, inputGrad] of inputGradients(value, outGrad)) {
        if (!isNeeded.has(input)) continue;
        const earlier = gradientOf.get(input);
        gradientOf.set(input, earlier === undefined ? inputGrad : add(earlier, inputGrad));
      }
    });
  }
  return wrt.map((value) => gradientOf.get(value));
}

function inputGradients(value: Value, outGrad: Value): [Value, Value][] {
  const definition = definitionOf(value);
  const broadcasts = definition.lowering.kind === "elementwise";
  const found = definition.gradient?.(value, outGrad) ?? [];
  const pairs: [Value, Value][] = [];
  value.inputs.forEach((input, index) => {
    const given = found[index];
    if (given === undefined) return;
    const inputGrad = broadcasts ? sumTo(given, input.shape) : given;
    if (!shapesEqual(inputGrad.shape, input.shape) || inputGrad.dtype !== "f32") {
      throw new TypeError(
        `${labelOf(value)}: the gradient of input ${index} is ${inputGrad.dtype} of shape ` +
          `${formatShape(inputGrad.shape)}; ` +
          `it has to be f32 of shape ${formatShape(input.shape)}`,
      );
    }
    pairs.push([input, inputGrad]);
  });
  return pairs;
}

/** The values on the way from one of `wrt` to `loss`: gradients of all others would be thrown away. */
function dependingOn(wrt: readonly Value[], loss: Value): Set<Value> {
  const depending = new Set<Value>(wrt);
  for (const value of reachable([loss])) {
    if (value.inputs.some((input) => depending.has(input))) depending.add(value);
  }
  return depending;
}
