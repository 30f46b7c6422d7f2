import { isPromise, kindOf } from "../base/options/kind_of.ts";
import type { Value } from "../graph/value.ts";
import { isValue, type Values } from "../graph/values.ts";
import { callLayer } from "./layer_call.ts";
import type { Scope } from "./scope.ts";

/**
 * A layer is a function from a value to a value. It takes its parameters and its randomness from the scope; the rest
 * is ordinary TypeScript over graph values, so any such function is a layer. A whole model may take several values by
 * name, and give several.
 *
 * @example
 * ```ts
 * const scaled: nn.Layer = (x, scope) =>
 *   ops.mul(x, scope.parameter("scale", [x.shape[1] ?? 1], nn.ones()));
 *
 * const two: nn.Layer<{ a: Value; b: Value }> = ({ a, b }, scope) => ops.add(scaled(a, scope), b);
 * ```
 */
export type Layer<In extends Values = Value, Out extends Values = Value> = (x: In, scope: Scope) => Out;

/**
 * A layer that is known when it is called again: in one scope it then has the same parameters, where a plain function
 * that takes a name twice is a `TypeError`.
 *
 * @example
 * ```ts
 * const scaled = nn.layer((x, scope) => ops.mul(x, scope.parameter("scale", [1], nn.ones())), "scaled");
 * const twice: nn.Layer = (x, scope) => scaled(scaled(x, scope), scope);
 * ```
 *
 * @param name What it is called in messages and summaries. Default: the function's own name.
 */
export function layer(apply: Layer, name?: string): Layer {
  if (typeof apply !== "function") {
    throw new TypeError(`layer() takes a function (x, scope) => value, found ${kindOf(apply)}`);
  }
  const shownName = name ?? (apply.name === "" ? "layer" : apply.name);
  const known: Layer = (x, scope) => {
    if (typeof scope?.callOf !== "function") {
      throw new TypeError(
        `A layer is called with (x, scope), found ${kindOf(scope)} for the scope; pass the model's`,
      );
    }
    const inner = scope.callOf(known);
    return callLayer(shownName, x, inner, () => apply(x, inner));
  };
  names.set(known, shownName);
  return known;
}

const names = new WeakMap<Layer, string>();

/** What `layer` is called in messages: as it was made, or by its function's name. */
export function nameOfLayer(layer: Layer): string {
  return names.get(layer) ?? (layer.name === "" ? "a function" : layer.name);
}

/** A `TypeError` unless `layer`, which `of` was given as its `what`, is one. */
export function requireLayer(of: string, what: string, layer: Layer): void {
  if (typeof layer === "function") return;
  throw new TypeError(`${of}: its ${what} is a function (x, scope) => value, found ${kindOf(layer)}`);
}

/** `values`, or a `TypeError` when what a user's function gave is neither a value nor several by name. */
export function requireValues<T extends Values>(what: string, values: T): T {
  const found: unknown = values;
  if (isValue(found) || typeof found !== "object" || found === null || isPromise(found)) {
    requireValue(what, found);
    return values;
  }
  const several = Object.entries(found);
  if (several.length === 0) throw new TypeError(`${what} gives {}, expected a value, or several by name`);
  for (const [name, value] of several) requireValue(`${what}, for "${name}",`, value);
  return values;
}

/** A `TypeError` when what a user's function gave is no value. */
export function requireValue<T>(what: string, value: T): T & Value {
  const found: unknown = value;
  if (typeof found === "object" && found !== null && "op" in found) return value as T & Value;
  const hint = typeof found === "function"
    ? "; was it not called, as in nn.relu()?"
    : isPromise(found)
    ? "; a layer does not wait for anything"
    : "; does it return its result?";
  throw new TypeError(`${what} gives ${kindOf(found)}, expected a value${hint}`);
}
