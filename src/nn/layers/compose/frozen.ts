import { freezeParameter } from "../../frozen_parameters.ts";
import { type Layer, layer as knownLayer, nameOfLayer, requireLayer } from "../../layer.ts";

/**
 * `layer` with parameters that keep their bits, whatever the optimiser: there is no gradient of them, no memory for
 * one, and no moment. They are saved and loaded like all others, under the same names. A parameter that another layer
 * had asked for before is trained all the same.
 *
 * @example
 * ```ts
 * const model = nn.sequential(nn.frozen(nn.linear(784, 64)), nn.relu(), nn.linear(64, 10));
 * ```
 */
export function frozen(layer: Layer): Layer {
  requireLayer("frozen", "layer", layer);
  return knownLayer((x, scope) => {
    const before = new Set(scope.parameters);
    const result = layer(x, scope);
    for (const parameter of scope.parameters) {
      if (!before.has(parameter)) freezeParameter(parameter);
    }
    return result;
  }, `frozen(${nameOfLayer(layer)})`);
}
