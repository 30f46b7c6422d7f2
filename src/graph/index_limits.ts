import { definitionOf, isResultOf } from "./create_value.ts";
import { item } from "./op.ts";
import { castOp } from "./ops/cast.ts";
import { inputOp } from "./ops/sources.ts";
import { labelOf, reachable, type Value } from "./value.ts";

/** What the elements of an input have to be: whole numbers from 0 to below `below`. */
export interface InputLimit {
  readonly below: number;
  /** The op that takes them for indices, such as `softmaxCrossEntropy`. */
  readonly op: string;
}

/**
 * Inputs of a program that its ops take for indices, by name, each with the lowest limit. A shader cannot refuse an
 * index: it would give NaN, or what is somewhere else, so that whoever runs the program looks before.
 */
export function indexLimits(roots: readonly Value[]): ReadonlyMap<string, InputLimit> {
  const limits = new Map<string, InputLimit>();
  for (const value of reachable(roots)) {
    for (const { input, below } of definitionOf(value).indices?.(value) ?? []) {
      const source = sourceOf(item(value.inputs, input));
      if (!isResultOf(inputOp, source)) continue;
      const { name } = source.attributes;
      if (below < (limits.get(name)?.below ?? Infinity)) limits.set(name, { below, op: labelOf(value) });
    }
  }
  return limits;
}

/** Where the same numbers come from, under another shape or as other integers. */
function sourceOf(value: Value): Value {
  const isSame = definitionOf(value).lowering.kind === "view" ||
    (isResultOf(castOp, value) && INTEGERS.has(item(value.inputs, 0).dtype));
  return isSame ? sourceOf(item(value.inputs, 0)) : value;
}

const INTEGERS: ReadonlySet<string> = new Set(["u8", "i32", "u32"]);
