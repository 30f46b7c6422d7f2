import type { Value } from "../graph/value.ts";
import type { Scope } from "./scope.ts";

/**
 * A layer is a function from a value to a value. It takes its parameters and its randomness from the scope;
 * whatever else it does is ordinary TypeScript over graph values, so that a function of one's own is a layer
 * as it stands.
 *
 * @example
 * ```ts
 * const scaled: nn.Layer = (x, scope) =>
 *   ops.mul(x, scope.parameter("scale", [x.shape[1] ?? 1], nn.ones()));
 * ```
 */
export type Layer = (x: Value, scope: Scope) => Value;

/** `value`, or a `TypeError` when what a user's function gave is none. */
export function requireValue(what: string, value: Value): Value {
  const found: unknown = value;
  if (typeof found === "object" && found !== null && "op" in found) return value;
  const kind = found === null ? "null" : typeof found;
  const hint = kind === "function" ? "; was it not called, as in nn.relu()?" : "; does it return its result?";
  throw new TypeError(`${what} gives ${kind === "undefined" ? kind : `a ${kind}`}, expected a value${hint}`);
}
