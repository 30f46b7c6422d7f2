import { checkOptions } from "../../base/options/options.ts";
import {
  upsample as upsampleOf,
  UPSAMPLE_OPTIONS,
  type UpsampleOptions,
} from "../../graph/ops/spatial/upsample.ts";
import { type Layer, layer } from "../layer.ts";

/** Images `[batch, channels, rows, columns]` of a whole multiple of their size; see `ops.upsample`. */
export function upsample(options: UpsampleOptions = {}): Layer {
  checkOptions("upsample()", options, UPSAMPLE_OPTIONS, '{ scale: 2, mode: "bilinear" }');
  return layer((x) => upsampleOf(x, options), "upsample()");
}
