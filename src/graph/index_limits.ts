import { definitionOf, isResultOf } from "./create_value.ts";
import { item } from "./op.ts";
import { castOp } from "./ops/cast.ts";
import { inputOp } from "./ops/sources.ts";
import { broadcastToOp } from "./ops/views.ts";
import { labelOf, reachable, sizeOf, type Value } from "./value.ts";

/** What the elements of an input have to be: whole numbers from 0 to below `below`. */
export interface InputLimit {
  readonly below: number;
  /** The op that takes them for indices, such as `softmaxCrossEntropy`. */
  readonly op: string;
}

/**
 * Inputs of a program that its ops take for indices, by name, each with the lowest limit. A shader cannot refuse an
 * index: it would give NaN, or another element, so the host checks before.
 */
export function indexLimits(roots: readonly Value[]): ReadonlyMap<string, InputLimit> {
  const limits = new Map<string, InputLimit>();
  for (const value of reachable(roots)) {
    for (const { input, below, by } of definitionOf(value).indices?.(value) ?? []) {
      const source = sourceOf(item(value.inputs, input));
      if (!isResultOf(inputOp, source)) continue;
      const { name } = source.attributes;
      if (below < (limits.get(name)?.below ?? Infinity)) {
        limits.set(name, { below, op: by ?? labelOf(value) });
      }
    }
  }
  return limits;
}

/** Where the same numbers come from, under another shape, in another order, repeated or as other integers. */
function sourceOf(value: Value): Value {
  const input = value.inputs[0];
  if (input === undefined) return value;
  const { kind } = definitionOf(value).lowering;
  // What takes only some of the numbers says nothing of the others.
  const isSame = kind === "view" || isResultOf(broadcastToOp, value) ||
    (kind === "read" && sizeOf(value) === sizeOf(input)) ||
    (isResultOf(castOp, value) && INTEGERS.has(input.dtype));
  return isSame ? sourceOf(input) : value;
}

const INTEGERS: ReadonlySet<string> = new Set(["u8", "i32", "u32"]);
