import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { layerNorm as layerNormOf } from "../../graph/ops/norm/row_norms.ts";
import { formatShape } from "../../tensor/shape.ts";
import { ones, zeros } from "../initializers.ts";
import { type Layer, layer } from "../layer.ts";
import { placeOf } from "./require_input.ts";

/** Options of {@link layerNorm}. */
export interface LayerNormOptions {
  /** Added to the variance. Default 1e-5. */
  readonly epsilon?: number;
}

/** Every option of {@link LayerNormOptions}. */
export const LAYER_NORM_OPTIONS: OptionNames<LayerNormOptions> = { epsilon: true };

/**
 * Shifts and scales the last axis to mean 0 and variance 1, then multiplies by `weight` and adds `bias`, both of
 * shape `[features]` (Ba et al. 2016). `epsilon` is added to the variance; default 1e-5, as in PyTorch. How exact it
 * is, says `ops.layerNorm`, which it is.
 */
export function layerNorm(features: number, options: LayerNormOptions = {}): Layer {
  const { epsilon = 1e-5 } = checkOptions("layerNorm()", options, LAYER_NORM_OPTIONS);
  const name = `layerNorm(${features})`;
  return layer((x, scope) => {
    if (x.shape.at(-1) !== features) {
      const place = placeOf(name, scope);
      throw new TypeError(`${place}: takes […, ${features}], found ${formatShape(x.shape)}`);
    }
    const weight = scope.parameter("weight", [features], ones());
    const bias = scope.parameter("bias", [features], zeros());
    return layerNormOf(x, { weight, bias, epsilon });
  }, name);
}
