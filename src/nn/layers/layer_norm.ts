import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { add, mul, square, sub } from "../../graph/ops/arithmetic.ts";
import { mean } from "../../graph/ops/reduce.ts";
import { rsqrt } from "../../graph/ops/transcendental.ts";
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
 * shape `[features]` (Ba et al. 2016). `epsilon` is added to the variance; default 1e-5, as in PyTorch.
 *
 * The mean is off by at most 7.8e-7 of the mean magnitude, whatever the number of features. The variance is the mean
 * of squared distances from that mean, never a difference of large numbers: at most 1e-6 of itself, and the square of
 * the mean's error.
 */
export function layerNorm(features: number, options: LayerNormOptions = {}): Layer {
  const { epsilon = 1e-5 } = checkOptions("layerNorm()", options, LAYER_NORM_OPTIONS);
  const name = `layerNorm(${features})`;
  return layer((x, scope) => {
    const axis = x.shape.length - 1;
    if (x.shape[axis] !== features) {
      const place = placeOf(name, scope);
      throw new TypeError(`${place}: takes […, ${features}], found ${formatShape(x.shape)}`);
    }
    const centred = sub(x, mean(x, { axes: [axis], keepDims: true }));
    const variance = mean(square(centred), { axes: [axis], keepDims: true });
    const normalised = mul(centred, rsqrt(add(variance, epsilon)));
    const weight = scope.parameter("weight", [features], ones());
    return add(mul(normalised, weight), scope.parameter("bias", [features], zeros()));
  }, name);
}
