import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { requireModelName } from "../../../tensor/group_names.ts";
import { freezeParameter } from "../../frozen_parameters.ts";
import { type Layer, layer as knownLayer, nameOfLayer, requireLayer } from "../../layer.ts";

/** Options of {@link frozen}. */
export interface FrozenOptions {
  /**
   * The name of another model in the same store, whose parameters and buffers are read in place of `layer`'s own: they
   * are called as `layer` calls them in a scope of its own. What trains that model changes them; here they are only
   * read. Default: the layer has its own.
   */
  readonly of?: string | undefined;
}

/** Every option of {@link FrozenOptions}. */
export const FROZEN_OPTIONS: OptionNames<FrozenOptions> = { of: true };

/**
 * `layer` with parameters that keep their bits, whatever the optimiser: there is no gradient of them, no memory for
 * one, and no moment. They are saved and loaded like all others, under the same names. A parameter that another layer
 * had asked for before is trained all the same.
 *
 * @example
 * ```ts
 * const model = nn.sequential(nn.frozen(nn.linear(784, 64)), nn.relu(), nn.linear(64, 10));
 * ```
 *
 * With `of` they are those of another model in the store, as when a generator is trained by what a critic says.
 */
export function frozen(layer: Layer, options: FrozenOptions = {}): Layer {
  requireLayer("frozen", "layer", layer);
  const { of } = checkOptions("frozen()", options, FROZEN_OPTIONS, '{ of: "critic" }');
  if (of !== undefined) {
    requireModelName("frozen", of);
    return knownLayer((x, scope) => layer(x, scope.ofModel(of)), `frozen(${nameOfLayer(layer)} of "${of}")`);
  }
  return knownLayer((x, scope) => {
    const before = new Set(scope.parameters);
    const result = layer(x, scope);
    for (const parameter of scope.parameters) {
      if (!before.has(parameter)) freezeParameter(parameter);
    }
    return result;
  }, `frozen(${nameOfLayer(layer)})`);
}
