import { kindOf } from "../../../base/options/kind_of.ts";
import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { add } from "../../../graph/ops/arithmetic.ts";
import { concat } from "../../../graph/ops/movement/concat.ts";
import type { Value } from "../../../graph/value.ts";
import { formatShape, shapesEqual } from "../../../tensor/shape.ts";
import { type Layer, layer as knownLayer, requireLayer, requireValue } from "../../layer.ts";
import type { Scope } from "../../scope.ts";
import { placeOf } from "../require_input.ts";

/** Options of {@link parallel}. */
export interface ParallelOptions {
  /** Whether results are put one behind the other, or added up. Default `"concat"`. */
  readonly join?: "concat" | "sum" | undefined;
  /** The axis along which they are put, negative ones counted from the end. Default 1: channels, or features. */
  readonly axis?: number | undefined;
}

/** Every option of {@link ParallelOptions}. */
export const PARALLEL_OPTIONS: OptionNames<ParallelOptions> = { join: true, axis: true };

/**
 * Branches that all get the same input, and whose results are joined. Parameters of a branch are named `name.…`; of a
 * list, `0.…`, `1.…` and so on.
 *
 * @throws TypeError when it is called and the results do not fit together; it names the branch and both shapes.
 *
 * @example
 * ```ts
 * const inception = nn.parallel({
 *   narrow: nn.conv2d(3, 8, 1),
 *   wide: nn.conv2d(3, 8, 5, { padding: "same" }),
 * });
 * ```
 */
export function parallel(
  branches: Readonly<Record<string, Layer>> | readonly Layer[],
  options: ParallelOptions = {},
): Layer {
  const { join = "concat", axis = 1 } = checkOptions(
    "parallel()",
    options,
    PARALLEL_OPTIONS,
    '{ join: "concat", axis: 1 }',
  );
  if (join !== "concat" && join !== "sum") {
    throw new TypeError(`parallel: join is "concat" or "sum", found ${JSON.stringify(join)}`);
  }
  if (join === "sum" && options.axis !== undefined) {
    throw new TypeError('parallel: an axis is for join: "concat"; leave it out where results are added up');
  }
  const named = namedBranches(branches);
  return knownLayer((x, scope) => {
    const results = named.map(([name, branch]) =>
      [name, requireValue(`Branch "${name}" of parallel()`, branch(x, scope.child(name)))] as const
    );
    requireFit(results, scope, join === "sum" ? undefined : axis);
    const values = results.map(([, value]) => value);
    return join === "concat" ? concat(values, { axis }) : values.reduce((total, value) => add(total, value));
  }, "parallel()");
}

function namedBranches(branches: Readonly<Record<string, Layer>> | readonly Layer[]): [string, Layer][] {
  if (typeof branches !== "object" || branches === null) {
    throw new TypeError(`parallel: takes { name: layer, … } or a list of layers, found ${kindOf(branches)}`);
  }
  const named = Object.entries(branches);
  if (named.length === 0) throw new TypeError("parallel: there is no branch; give at least one");
  for (const [name, branch] of named) requireLayer("parallel", `branch "${name}"`, branch);
  return named;
}

/** All results have one shape, along `axis` aside. */
function requireFit(
  results: readonly (readonly [string, Value])[],
  scope: Scope,
  axis: number | undefined,
): void {
  const [first] = results;
  if (first === undefined) return;
  const [firstName, { shape: expected, dtype }] = first;
  const place = placeOf("parallel", scope);
  const rank = expected.length;
  if (axis !== undefined && !(Number.isInteger(axis) && axis >= -rank && axis < rank)) {
    throw new TypeError(`${place}: there is no axis ${axis} in ${formatShape(expected)}, of "${firstName}"`);
  }
  const along = axis === undefined ? undefined : axis < 0 ? axis + rank : axis;
  const apart = (shape: readonly number[]) => shape.map((size, at) => at === along ? 0 : size);
  for (const [name, value] of results) {
    if (value.dtype === dtype && shapesEqual(apart(value.shape), apart(expected))) continue;
    throw new TypeError(
      `${place}: "${name}" gives ${value.dtype} ${formatShape(value.shape)}, "${firstName}" ${dtype} ` +
        `${formatShape(expected)}; ${
          along === undefined ? "they are added, so make them equal" : `make them equal but for axis ${along}`
        }`,
    );
  }
}
