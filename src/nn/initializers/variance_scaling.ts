import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { type FanMode, fanOf, type Initializer, normal, requireMode, uniform } from "../initializers.ts";
import { truncatedNormal } from "./truncated_normal.ts";

/** Options of {@link varianceScaling}. */
export interface VarianceScalingOptions {
  /** The variance of a weight, times its fan. Default 1. */
  readonly scale?: number | undefined;
  /** Which fan. Default `"fanIn"`. */
  readonly mode?: FanMode | undefined;
  /** How weights are distributed. Default `"truncatedNormal"`: nothing beyond two deviations. */
  readonly distribution?: "truncatedNormal" | "normal" | "uniform" | undefined;
}

/** Every option of {@link VarianceScalingOptions}. */
export const VARIANCE_SCALING_OPTIONS: OptionNames<VarianceScalingOptions> = {
  scale: true,
  mode: true,
  distribution: true,
};

/** The deviation of a normal distribution that is cut at two deviations. */
const TRUNCATED_DEVIATION = 0.87962566103423978;

/**
 * Weights of mean 0 and variance `scale / fan`, Keras' `VarianceScaling` with its defaults. Keras' `LecunNormal` is
 * this by default, `HeNormal` of the scale 2, `GlorotNormal` of the mode `"fanAverage"`.
 */
export function varianceScaling(options: VarianceScalingOptions = {}): Initializer {
  const { scale = 1, mode = "fanIn", distribution = "truncatedNormal" } = checkOptions(
    "varianceScaling()",
    options,
    VARIANCE_SCALING_OPTIONS,
    "{ scale: 2 }",
  );
  if (!(scale > 0)) throw new RangeError(`varianceScaling: scale is a number above 0, found ${scale}`);
  requireMode("varianceScaling()", mode);
  const make = {
    truncatedNormal: (deviation: number) => truncatedNormal(0, deviation / TRUNCATED_DEVIATION),
    normal: (deviation: number) => normal(0, deviation),
    uniform: (deviation: number) => uniform(-deviation * Math.sqrt(3), deviation * Math.sqrt(3)),
  }[distribution];
  if (make === undefined) {
    throw new TypeError(
      `varianceScaling: the distribution is truncatedNormal, normal or uniform, found ${
        String(distribution)
      }`,
    );
  }
  return (shape, stream) => make(Math.sqrt(scale / fanOf(shape, mode)))(shape, stream);
}
