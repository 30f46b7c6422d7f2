import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { rmsNorm as rmsNormOf } from "../../graph/ops/norm/row_norms.ts";
import { formatShape } from "../../tensor/shape.ts";
import { ones } from "../initializers.ts";
import { type Layer, layer } from "../layer.ts";
import { placeOf } from "./require_input.ts";

/** Options of {@link rmsNorm}. */
export interface RmsNormOptions {
  /** Added to the mean of squares. Default 2^-23, the distance from 1 to the next f32, as in PyTorch. */
  readonly epsilon?: number | undefined;
}

/** Every option of {@link RmsNormOptions}. */
export const RMS_NORM_OPTIONS: OptionNames<RmsNormOptions> = { epsilon: true };

/**
 * Divides the last axis by the root of its mean square, then multiplies by `weight` `[features]` (Zhang and Sennrich
 * 2019).
 */
export function rmsNorm(features: number, options: RmsNormOptions = {}): Layer {
  const { epsilon = 2 ** -23 } = checkOptions("rmsNorm()", options, RMS_NORM_OPTIONS);
  const name = `rmsNorm(${features})`;
  return layer((x, scope) => {
    if (x.shape.at(-1) !== features) {
      const place = placeOf(name, scope);
      throw new TypeError(`${place}: takes […, ${features}], found ${formatShape(x.shape)}`);
    }
    return rmsNormOf(x, { weight: scope.parameter("weight", [features], ones()), epsilon });
  }, name);
}
