import type { Value } from "../graph/value.ts";
import type { Scope } from "./scope.ts";

/**
 * A layer is a function from a value to a value. It takes its parameters and its randomness from the scope;
 * whatever else it does is ordinary TypeScript over graph values, so that a function of one's own is a layer
 * as it stands.
 *
 * @example
 * ```ts
 * const scaled: Layer = (x, scope) => mul(x, scope.parameter("scale", [x.shape[1] ?? 1], ones()));
 * ```
 */
export type Layer = (x: Value, scope: Scope) => Value;
