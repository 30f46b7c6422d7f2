import { add } from "../../../graph/ops/arithmetic.ts";
import { formatShape, shapesEqual } from "../../../tensor/shape.ts";
import { type Layer, layer as knownLayer, nameOfLayer, requireLayer, requireValue } from "../../layer.ts";
import { placeOf } from "../require_input.ts";

/**
 * `x + layer(x)` (He and others 2015). The layer's parameters are called as without it.
 *
 * @throws TypeError when the layer is called and gives another shape than it was given.
 */
export function residual(layer: Layer): Layer {
  requireLayer("residual", "layer", layer);
  return knownLayer((x, scope) => {
    const result = requireValue("The layer of residual()", layer(x, scope));
    if (shapesEqual(result.shape, x.shape) && result.dtype === x.dtype) return add(x, result);
    throw new TypeError(
      `${placeOf("residual", scope)}: its layer makes ${result.dtype} ${formatShape(result.shape)} of ` +
        `${x.dtype} ${formatShape(x.shape)}, which cannot be added; give it as many outputs as inputs`,
    );
  }, `residual(${nameOfLayer(layer)})`);
}
