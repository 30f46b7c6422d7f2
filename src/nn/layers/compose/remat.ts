import { remat as rematOf } from "../../../graph/ops/gradients/remat.ts";
import { type Layer, layer as knownLayer, nameOfLayer, requireLayer, requireValue } from "../../layer.ts";

/**
 * `layer`, of which nothing but the result is kept for the way back: what is computed inside is computed again there
 * (activation checkpointing). Less memory for more time; the same bits, those of dropout too. Its parameters are called
 * as without it.
 *
 * @example
 * ```ts
 * const blocks = Array.from({ length: 4 }, () => nn.remat(nn.transformerBlock(64, 4)));
 * const model = nn.sequential(...blocks);
 * ```
 */
export function remat(layer: Layer): Layer {
  requireLayer("remat", "layer", layer);
  return knownLayer(
    (x, scope) => rematOf((value: typeof x) => requireValue("The layer of remat()", layer(value, scope)))(x),
    `remat(${nameOfLayer(layer)})`,
  );
}
