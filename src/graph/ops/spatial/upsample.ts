import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { add, mul } from "../arithmetic.ts";
import { item } from "../../op.ts";
import type { Value } from "../../value.ts";
import { stack } from "../movement/concat.ts";
import { pad } from "../movement/pad.ts";
import { slice } from "../movement/slice.ts";
import { requireDType } from "../requirements.ts";
import { broadcastTo, reshape } from "../views.ts";
import { requireAxes, rowsAndColumns, type RowsColumns } from "./window.ts";

/** Options of {@link upsample}. */
export interface UpsampleOptions {
  /** How many times as many rows and columns. Default 2. */
  readonly scale?: RowsColumns | undefined;
  /** `"nearest"` (when left out) repeats elements; `"bilinear"` goes from one to the next in even steps. */
  readonly mode?: "nearest" | "bilinear" | undefined;
}

/** Every option of {@link UpsampleOptions}. */
export const UPSAMPLE_OPTIONS: OptionNames<UpsampleOptions> = { scale: true, mode: true };

/**
 * Images `[batch, channels, rows, columns]`, f32, of a whole multiple of their size. The corners of pixels are
 * aligned, not their centres, as with PyTorch's `align_corners=False`.
 */
export function upsample(value: Value, options: UpsampleOptions = {}): Value {
  const { scale = 2, mode = "nearest" } = checkOptions(
    "upsample()",
    options,
    UPSAMPLE_OPTIONS,
    '{ scale: 2, mode: "bilinear" }',
  );
  requireDType("upsample", value, ["f32"]);
  requireAxes("upsample", "input", value, ["batch", "channels", "rows", "columns"]);
  const [rowScale, columnScale] = rowsAndColumns("upsample", "scale", scale, 1);
  switch (mode) {
    case "nearest":
      return nearest(value, rowScale, columnScale);
    case "bilinear":
      return interpolated(interpolated(value, 2, rowScale), 3, columnScale);
    default:
      throw new TypeError(
        `upsample: mode is "nearest" or "bilinear", found ${JSON.stringify(mode satisfies never)}`,
      );
  }
}

function nearest(value: Value, rowScale: number, columnScale: number): Value {
  const [batch = 0, channels = 0, rows = 0, columns = 0] = value.shape;
  const apart = reshape(value, [batch, channels, rows, 1, columns, 1]);
  const repeated = broadcastTo(apart, [batch, channels, rows, rowScale, columns, columnScale]);
  return reshape(repeated, [batch, channels, rows * rowScale, columns * columnScale]);
}

/**
 * Every element becomes `scale` of them, each between two neighbours: a weighted sum of the axis and itself, shifted.
 */
function interpolated(value: Value, axis: 2 | 3, scale: number): Value {
  const size = item(value.shape, axis);
  if (scale === 1 || size === 0) return value;
  const edges = value.shape.map((_, of) => of === axis ? [1, 1] as const : [0, 0] as const);
  const padded = pad(value, edges, { mode: "replicate" });
  const shifted = (by: number): Value => slice(padded, { axis, start: 1 + by, end: 1 + by + size });
  const phases = Array.from({ length: scale }, (_, phase) => {
    // Where the middle of this one is, seen from the middle of the element that it is a part of.
    const offset = (phase + 0.5) / scale - 0.5;
    const weight = Math.abs(offset);
    return add(mul(shifted(0), 1 - weight), mul(shifted(Math.sign(offset)), weight));
  });
  const shape = value.shape.with(axis, size * scale);
  return reshape(stack(phases, { axis: axis + 1 }), shape);
}
