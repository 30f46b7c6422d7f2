import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { add } from "../../../graph/ops/arithmetic.ts";
import { take } from "../../../graph/ops/indexing/take.ts";
import { slice } from "../../../graph/ops/movement/slice.ts";
import { formatShape } from "../../../tensor/shape.ts";
import { type Initializer, normal } from "../../initializers.ts";
import { type Layer, layer } from "../../layer.ts";
import { placeOf, requireInput, requireSize } from "../require_input.ts";

/** Options of {@link learnedPositions}. */
export interface LearnedPositionsOptions {
  /** Default: `normal()`, mean 0 and deviation 1, as that of an embedding. */
  readonly weightInitializer?: Initializer | undefined;
}

/** Every option of {@link LearnedPositionsOptions}. */
export const LEARNED_POSITIONS_OPTIONS: OptionNames<LearnedPositionsOptions> = { weightInitializer: true };

/**
 * Adds a learned row to each position, the same in every example (Gehring and others 2017): `[batch, positions, dim]`
 * to the same shape, for at most `most` positions. Parameter `weight` `[most, dim]`.
 */
export function learnedPositions(most: number, dim: number, options: LearnedPositionsOptions = {}): Layer {
  const { weightInitializer = normal() } = checkOptions(
    "learnedPositions()",
    options,
    LEARNED_POSITIONS_OPTIONS,
    "{ weightInitializer: nn.normal(0, 0.02) }",
  );
  const name = `learnedPositions(${most}, ${dim})`;
  requireSize(name, "the number of positions", most);
  requireSize(name, "the dimension", dim);
  return layer((x, scope) => {
    requireInput(name, scope, x, ["batch", "positions", dim]);
    const [, positions = 0] = x.shape;
    if (positions > most) {
      throw new TypeError(
        `${placeOf(name, scope)}: has rows for ${most} positions, found ${positions} in ${
          formatShape(x.shape)
        }; give it more, or take fewer positions`,
      );
    }
    const weight = scope.parameter("weight", [most, dim], weightInitializer);
    const { cache } = scope;
    if (cache === undefined) return add(x, slice(weight, { end: positions }));
    cache.limitPositions(most);
    return add(x, take(weight, cache.positions));
  }, name);
}
