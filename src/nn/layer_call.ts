import { madeIn } from "../graph/create_value.ts";
import type { Value } from "../graph/value.ts";
import { formatShape } from "../tensor/shape.ts";
import { placeOf } from "./layers/require_input.ts";
import type { Scope } from "./scope.ts";

/** One call of a layer in a trace. */
export interface LayerCall {
  /** Dotted path of its scope, such as `0.attention`; empty for a whole model. */
  readonly path: string;
  /** How it was made, such as `linear(784, 128)`. */
  readonly name: string;
  readonly input: Value;
  readonly output: Value;
  /** How many calls were made inside of it; they stand right behind it. */
  readonly inner: number;
  /** Whether it is a layer that knows itself, and not a plain function. */
  readonly isKnown: boolean;
}

/** Those of the trace that is being made; a trace is made in one go. */
let calls: (LayerCall | undefined)[] | undefined;

/** Errors that say already in which layer they came up. */
const placed = new WeakSet<Error>();

/**
 * Calls a layer: `work` makes of `x` what it gives; see {@link LayerCall} for `isKnown`. Its values know in which layer
 * they were made, and a `TypeError` or a `RangeError` says it.
 */
export function callLayer(
  name: string,
  x: Value,
  scope: Scope,
  work: () => Value,
  isKnown: boolean = true,
): Value {
  const recorded = calls;
  const behind = recorded?.push(undefined) ?? 0;
  const output = madeIn(scope.path, () => {
    try {
      return work();
    } catch (error) {
      throw inPlace(error, name, x, scope);
    }
  });
  if (recorded !== undefined) {
    const inner = recorded.length - behind;
    recorded[behind - 1] = { path: scope.path, name, input: x, output, inner, isKnown };
  }
  return output;
}

/** Every layer that `work` calls: one that calls others stands before them. */
export function recordCalls(work: () => void): readonly LayerCall[] {
  const outer = calls;
  const own: (LayerCall | undefined)[] = [];
  calls = own;
  try {
    work();
    return own.flatMap((call) => call ?? []);
  } finally {
    calls = outer;
  }
}

/** `error` with the innermost layer that it came up in. */
function inPlace(error: unknown, name: string, x: Value, scope: Scope): unknown {
  if (!(error instanceof TypeError || error instanceof RangeError) || placed.has(error)) return error;
  const { message } = error;
  // A layer that is the whole model has no path to name.
  const isSaid = scope.path === "" || message.includes(`"${scope.path}"`) ||
    message.includes(`"${scope.path}.`);
  const given = isSaid
    ? error
    : withMessage(error, `${placeOf(name, scope)} cannot take ${describe(x)}: ${message}`);
  placed.add(given);
  return given;
}

function withMessage(cause: TypeError | RangeError, message: string): TypeError | RangeError {
  return cause instanceof RangeError ? new RangeError(message, { cause }) : new TypeError(message, { cause });
}

/** A caller of JavaScript may have given no value. */
function describe(x: Partial<Value> | undefined): string {
  return x?.shape === undefined ? "what it was given" : formatShape(x.shape);
}
