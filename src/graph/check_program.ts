import { formatShape } from "../tensor/shape.ts";
import { definitionOf, firstOf, isResultOf } from "./create_value.ts";
import { inputOp } from "./ops/sources.ts";
import type { Program } from "./program.ts";
import { labelOf, reachable, type Value } from "./value.ts";

/** A `TypeError` unless every input is listed, is one, and has a name of its own, and every random op a stream. */
export function checkProgram(program: Program): void {
  const roots = [
    ...Object.values(program.outputs),
    ...(program.stores ?? []).map(({ value }) => value),
    ...(program.updates ?? []).flatMap((update) => "values" in update ? Object.values(update.values) : []),
  ];
  const listed = new Set(program.inputs);
  for (const value of listed) {
    if (!isResultOf(inputOp, value)) {
      throw new TypeError(`${labelOf(value)} is listed under inputs but is no input()`);
    }
  }
  const streams = new Map<number, Value>();
  for (const value of reachable(roots)) {
    if (isResultOf(inputOp, value) && !listed.has(value)) {
      throw new TypeError(
        `The program depends on ` +
          `${labelOf(value)}, which its inputs do not list; list it, or leave out what uses it`,
      );
    }
    const stream = definitionOf(value).stream?.(value);
    if (stream === undefined) continue;
    const earlier = streams.get(stream);
    // What is computed again draws the same numbers, and is to.
    if (earlier !== undefined && firstOf(earlier) !== firstOf(value)) {
      throw new TypeError(
        `${earlier.op} ${formatShape(earlier.shape)} and ${value.op} ` +
          `${formatShape(value.shape)} both draw from stream ` +
          `${stream} and would not be independent; give each a stream of its own`,
      );
    }
    streams.set(stream, value);
  }
}
