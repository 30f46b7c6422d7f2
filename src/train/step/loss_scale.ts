import type { BufferRange } from "../../gpu/buffer_range.ts";
import { div, mul } from "../../graph/ops/arithmetic.ts";
import { equal, where } from "../../graph/ops/comparison.ts";
import { parameter } from "../../graph/ops/sources.ts";
import type { Value } from "../../graph/value.ts";
import { FIRST_LOSS_SCALE } from "../../kernels/optimizer/loss_scale.ts";

/** What the scale is called among the parameters of a program. */
const LOSS_SCALE = "loss scale";

/** Multiplies a loss, and divides gradients by the same. */
export interface LossScaling {
  scaled(loss: Value): Value;
  unscaled(gradient: Value): Value;
}

/** By a power of two, so that nothing is rounded but what is too small or too large; see `LossScale`. */
export function lossScaling(): LossScaling {
  const known = parameter(LOSS_SCALE, "f32", []);
  const scale = where(equal(known, 0), FIRST_LOSS_SCALE, known);
  return { scaled: (loss) => mul(loss, scale), unscaled: (gradient) => div(gradient, scale) };
}

/** Where the parameter `name` of a program is, if it is the scale. */
export function lossScaleAt(
  name: string,
  { lossScale }: { readonly lossScale?: BufferRange | undefined },
): BufferRange | undefined {
  return name === LOSS_SCALE ? lossScale : undefined;
}
