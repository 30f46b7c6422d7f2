import type { Description } from "../../base/description.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";

/** What is done to gradients that are large, before the optimiser has them. With both, first by norm, then by value. */
export interface ClipGradientsOptions {
  /**
   * Where the norm of all gradients together is larger, they are scaled down to it, as by PyTorch's `clip_grad_norm_`.
   * The norm of each step, before that, is in the history as `gradient_norm`; `Infinity` measures it and clips nothing.
   * A norm that f32 cannot square, beyond 1.8e19, counts as infinite: such gradients become 0.
   */
  readonly norm?: number | undefined;
  /** The largest magnitude that an element has, as by PyTorch's `clip_grad_value_`. */
  readonly value?: number | undefined;
}

/** Every option of {@link ClipGradientsOptions}. */
export const CLIP_GRADIENTS_OPTIONS: OptionNames<ClipGradientsOptions> = { norm: true, value: true };

/** @throws TypeError or RangeError for limits that are none. */
export function checkClipGradients(options: ClipGradientsOptions | undefined): void {
  if (options === undefined) return;
  checkOptions("clipGradients", options, CLIP_GRADIENTS_OPTIONS, "{ norm: 1 }");
  const { norm, value } = options;
  if (norm !== undefined && !(norm > 0)) {
    throw new RangeError(`clipGradients.norm is a number above 0, or Infinity, found ${norm}`);
  }
  if (value !== undefined && !(value > 0 && value < Infinity)) {
    throw new RangeError(`clipGradients.value is a number above 0, found ${value}`);
  }
}

/** What a checkpoint says of it; `undefined` where nothing is clipped. */
export function describeClipping(
  { norm = Infinity, value }: ClipGradientsOptions = {},
): Description | undefined {
  if (norm === Infinity && value === undefined) return undefined;
  return {
    name: "clipGradients",
    ...norm === Infinity ? {} : { norm },
    ...value === undefined ? {} : { value },
  };
}
