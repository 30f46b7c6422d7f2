import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { groupNorm as groupNormOf } from "../../graph/ops/norm/row_norms.ts";
import { formatShape } from "../../tensor/shape.ts";
import { ones, zeros } from "../initializers.ts";
import { type Layer, layer } from "../layer.ts";
import { placeOf } from "./require_input.ts";
import { channelsOfGroup } from "./convolution_layer.ts";

/** Options of {@link groupNorm}. */
export interface GroupNormOptions {
  /** Added to the variance. Default 1e-5. */
  readonly epsilon?: number | undefined;
}

/** Every option of {@link GroupNormOptions}. */
export const GROUP_NORM_OPTIONS: OptionNames<GroupNormOptions> = { epsilon: true };

/**
 * Shifts and scales each group of neighbouring channels of an example to mean 0 and variance 1, then each channel by
 * `weight` and `bias` `[channels]` (Wu and He 2018): `[batch, channels, …]`. One group is layer normalisation over
 * the whole example; as many as channels, instance normalisation.
 */
export function groupNorm(groups: number, channels: number, options: GroupNormOptions = {}): Layer {
  const { epsilon = 1e-5 } = checkOptions("groupNorm()", options, GROUP_NORM_OPTIONS);
  const name = `groupNorm(${groups}, ${channels})`;
  channelsOfGroup(name, channels, groups);
  return layer((x, scope) => {
    if (x.shape.length < 2 || x.shape[1] !== channels) {
      throw new TypeError(
        `${placeOf(name, scope)}: takes [batch, ${channels}, …], found ${formatShape(x.shape)}`,
      );
    }
    const weight = scope.parameter("weight", [channels], ones());
    const bias = scope.parameter("bias", [channels], zeros());
    return groupNormOf(x, groups, { weight, bias, epsilon });
  }, name);
}
