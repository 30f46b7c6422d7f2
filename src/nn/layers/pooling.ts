import { checkOptions } from "../../base/options/options.ts";
import { mean } from "../../graph/ops/reduce.ts";
import {
  AVG_POOL_OPTIONS,
  avgPool1d as avgPool1dOf,
  avgPool2d as avgPool2dOf,
  type AvgPoolOptions,
  MAX_POOL_OPTIONS,
  maxPool1d as maxPool1dOf,
  maxPool2d as maxPool2dOf,
  type MaxPoolOptions,
} from "../../graph/ops/spatial/pooling.ts";
import type { RowsColumns } from "../../graph/ops/spatial/window.ts";
import { reshape } from "../../graph/ops/views.ts";
import type { Value } from "../../graph/value.ts";
import { elementCount, formatShape } from "../../tensor/shape.ts";
import { type Layer, layer } from "../layer.ts";
import type { Scope } from "../scope.ts";
import { placeOf } from "./require_input.ts";

/** The largest element of each window: `[batch, channels, rows, columns]`; see `ops.maxPool2d`. */
export function maxPool2d(kernelSize: RowsColumns, options: MaxPoolOptions = {}): Layer {
  checkOptions("maxPool2d()", options, MAX_POOL_OPTIONS, "{ stride: 2 }");
  const name = `maxPool2d(${JSON.stringify(kernelSize)})`;
  return layer((x) => maxPool2dOf(x, kernelSize, options), name);
}

/** The largest element of each window: `[batch, channels, length]`; see `ops.maxPool1d`. */
export function maxPool1d(kernelSize: number, options: MaxPoolOptions<number> = {}): Layer {
  checkOptions("maxPool1d()", options, MAX_POOL_OPTIONS, "{ stride: 2 }");
  return layer((x) => maxPool1dOf(x, kernelSize, options), `maxPool1d(${kernelSize})`);
}

/** The mean of each window: `[batch, channels, rows, columns]`; see `ops.avgPool2d`. */
export function avgPool2d(kernelSize: RowsColumns, options: AvgPoolOptions = {}): Layer {
  checkOptions("avgPool2d()", options, AVG_POOL_OPTIONS, "{ stride: 2 }");
  const name = `avgPool2d(${JSON.stringify(kernelSize)})`;
  return layer((x) => avgPool2dOf(x, kernelSize, options), name);
}

/** The mean of each window: `[batch, channels, length]`; see `ops.avgPool1d`. */
export function avgPool1d(kernelSize: number, options: AvgPoolOptions<number> = {}): Layer {
  checkOptions("avgPool1d()", options, AVG_POOL_OPTIONS, "{ stride: 2 }");
  return layer((x) => avgPool1dOf(x, kernelSize, options), `avgPool1d(${kernelSize})`);
}

/** The mean of each channel: `[batch, channels, …]` to `[batch, channels]`. */
export function globalAvgPool(): Layer {
  return layer((x, scope) => mean(planesOf("globalAvgPool()", x, scope), { axes: 2 }), "globalAvgPool()");
}

/** The largest of each channel: `[batch, channels, …]` to `[batch, channels]`; its gradient goes to the first. */
export function globalMaxPool(): Layer {
  return layer((x, scope) => {
    const planes = planesOf("globalMaxPool()", x, scope);
    const [batch = 0, channels = 0, length = 0] = planes.shape;
    return reshape(maxPool1dOf(planes, length), [batch, channels]);
  }, "globalMaxPool()");
}

/** `x` with the elements of each channel as one axis, of which there has to be one. */
function planesOf(name: string, x: Value, scope: Scope): Value {
  const [batch = 0, channels = 0, ...rest] = x.shape;
  const length = elementCount(rest);
  if (rest.length > 0 && length > 0) return reshape(x, [batch, channels, length]);
  throw new TypeError(
    `${placeOf(name, scope)}: takes [batch, channels, …] with elements, found ${formatShape(x.shape)}`,
  );
}
