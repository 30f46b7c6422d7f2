import type { Value } from "../../graph/value.ts";
import { formatShape } from "../../tensor/shape.ts";
import type { Scope } from "../scope.ts";

/** What a layer is called in a message: how it was made, and where in the model it is. */
export function placeOf(layer: string, scope: Scope): string {
  return scope.path === "" ? layer : `${layer} at "${scope.path}"`;
}

/** A `TypeError` unless `x` has these axes: numbers are sizes, names stand for any. */
export function requireInput(
  layer: string,
  scope: Scope,
  x: Value,
  axes: readonly (number | string)[],
): void {
  const fits = x.shape.length === axes.length &&
    axes.every((axis, index) => typeof axis === "string" || axis === x.shape[index]);
  if (fits) return;
  throw new TypeError(
    `${placeOf(layer, scope)}: takes [${axes.join(", ")}], found ${formatShape(x.shape)}; ` +
      `change the layer's sizes, or what is before it`,
  );
}

/** `value`, which is a whole number from 1. */
export function requireSize(layer: string, name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new RangeError(`${layer}: ${name} is a whole number from 1, found ${value}`);
}
