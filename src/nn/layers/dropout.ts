import { dropout as dropoutOf } from "../../graph/ops/random.ts";
import { type Layer, layer } from "../layer.ts";

/**
 * While training, sets each element to 0 with this probability and divides the others by `1 - rate`, which
 * keeps the mean (Srivastava et al. 2014). What is dropped is a function of (seed, step), so that a resumed
 * run drops the same.
 */
export function dropout(rate: number): Layer {
  if (!(rate >= 0 && rate < 1)) {
    throw new RangeError(`dropout: the rate is from 0 to below 1, found ${rate}`);
  }
  return layer((x, scope) => {
    // Taken in evaluation too, so that the layers behind have the same streams in both.
    const stream = scope.randomStream();
    return scope.isTraining ? dropoutOf(x, { rate, stream }) : x;
  }, `dropout(${rate})`);
}
