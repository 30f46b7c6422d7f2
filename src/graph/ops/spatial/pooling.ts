import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { pickMaximum, spreadMaximum } from "../../../kernels/pool/window_maximum.ts";
import type { WindowSizes } from "../../../kernels/pool/window_sizes.ts";
import { windowSpread, windowSum } from "../../../kernels/pool/window_sum.ts";
import type { RowsAndColumns } from "../../../kernels/sizes.ts";
import { HostTensor } from "../../../tensor/host_tensor.ts";
import type { Shape } from "../../../tensor/shape.ts";
import { div } from "../arithmetic.ts";
import { createValue } from "../../create_value.ts";
import { item, type OpDefinition } from "../../op.ts";
import type { Value } from "../../value.ts";
import { requireDType } from "../requirements.ts";
import { constant } from "../sources.ts";
import { reshape } from "../views.ts";
import { requireAxes, rowsAndColumns, type RowsColumns } from "./window.ts";

/** Options of `maxPool2d` and, with one number each, of `maxPool1d`. */
export interface MaxPoolOptions<Size = RowsColumns> {
  /** From one window to the next. Default: the size of the window, so that windows do not overlap. */
  readonly stride?: Size | undefined;
  /**
   * How far windows reach out of the input on each side; half of the window at most. What is there counts as
   * -Infinity. Default 0.
   */
  readonly padding?: Size | undefined;
  /** Input elements between neighbouring elements of a window. Default 1. */
  readonly dilation?: Size | undefined;
  /** Whether a last window that does not fit wholly counts too. Default false. */
  readonly ceilMode?: boolean | undefined;
}

/** Every option of {@link MaxPoolOptions}. */
export const MAX_POOL_OPTIONS: OptionNames<MaxPoolOptions> = {
  stride: true,
  padding: true,
  dilation: true,
  ceilMode: true,
};

/** Options of `avgPool2d` and, with one number each, of `avgPool1d`. */
export interface AvgPoolOptions<Size = RowsColumns> {
  /** From one window to the next. Default: the size of the window. */
  readonly stride?: Size | undefined;
  /** Zeros on each side; half of the window at most. Default 0. */
  readonly padding?: Size | undefined;
  /** Whether a last window that does not fit wholly counts too. Default false. */
  readonly ceilMode?: boolean | undefined;
  /** Whether the zeros of the padding are counted in the mean. Default true. */
  readonly countIncludePad?: boolean | undefined;
}

/** Every option of {@link AvgPoolOptions}. */
export const AVG_POOL_OPTIONS: OptionNames<AvgPoolOptions> = {
  stride: true,
  padding: true,
  ceilMode: true,
  countIncludePad: true,
};

/** Attributes of the ops of windows. */
export type WindowAttributes = { readonly sizes: WindowSizes };

/**
 * The largest element of each window of `kernel` rows and columns: f32 `[batch, channels, rows, columns]`. Its
 * gradient goes to the first of equal ones; NaN is the largest. Names and defaults are PyTorch's.
 */
export function maxPool2d(value: Value, kernel: RowsColumns, options: MaxPoolOptions = {}): Value {
  checkOptions("maxPool2d()", options, MAX_POOL_OPTIONS, "{ stride: 2 }");
  const sizes = windowsOf("maxPool2d", value, kernel, options);
  return pick(value, value, sizes);
}

/** As {@link maxPool2d} for f32 `[batch, channels, length]`. */
export function maxPool1d(value: Value, kernel: number, options: MaxPoolOptions<number> = {}): Value {
  checkOptions("maxPool1d()", options, MAX_POOL_OPTIONS, "{ stride: 2 }");
  return overRows("maxPool1d", value, (rows) => {
    const sizes = windowsOf("maxPool1d", rows, [1, kernel], oneRow(options));
    return pick(rows, rows, sizes);
  });
}

/**
 * The mean of each window of `kernel` rows and columns: f32 `[batch, channels, rows, columns]`. Names and defaults
 * are PyTorch's: by default the zeros of the padding are counted. Off by at most one rounding (2^-24) an element of
 * the window.
 */
export function avgPool2d(value: Value, kernel: RowsColumns, options: AvgPoolOptions = {}): Value {
  checkOptions("avgPool2d()", options, AVG_POOL_OPTIONS, "{ stride: 2 }");
  return windowMeans(value, windowsOf("avgPool2d", value, kernel, options), options.countIncludePad ?? true);
}

/** As {@link avgPool2d} for f32 `[batch, channels, length]`. */
export function avgPool1d(value: Value, kernel: number, options: AvgPoolOptions<number> = {}): Value {
  checkOptions("avgPool1d()", options, AVG_POOL_OPTIONS, "{ stride: 2 }");
  return overRows(
    "avgPool1d",
    value,
    (rows) =>
      windowMeans(
        rows,
        windowsOf("avgPool1d", rows, [1, kernel], oneRow(options)),
        options.countIncludePad ?? true,
      ),
  );
}

/** Applies `pool` to images of one row. */
function overRows(op: string, value: Value, pool: (rows: Value) => Value): Value {
  const [batch = 0, channels = 0, length = 0] = requireAxes(op, "input", value, [
    "batch",
    "channels",
    "length",
  ]);
  const pooled = pool(reshape(value, [batch, channels, 1, length]));
  return reshape(pooled, [batch, channels, item(pooled.shape, 3)]);
}

function oneRow({ stride, padding, dilation, ceilMode }: MaxPoolOptions<number>): MaxPoolOptions {
  return {
    stride: stride === undefined ? undefined : [1, stride],
    padding: padding === undefined ? undefined : [0, padding],
    dilation: dilation === undefined ? undefined : [1, dilation],
    ceilMode,
  };
}

function windowsOf(op: string, value: Value, size: RowsColumns, options: MaxPoolOptions): WindowSizes {
  requireDType(op, value, ["f32"]);
  const axes = ["batch", "channels", "rows", "columns"];
  const [batch = 0, channels = 0, rows = 0, columns = 0] = requireAxes(op, "input", value, axes);
  const kernel = rowsAndColumns(op, "kernel", size, 1);
  const stride = rowsAndColumns(op, "stride", options.stride ?? kernel, 1);
  const dilation = rowsAndColumns(op, "dilation", options.dilation ?? 1, 1);
  const padding = rowsAndColumns(op, "padding", options.padding ?? 0, 0);
  const input: RowsAndColumns = [rows, columns];
  const along = (axis: 0 | 1): Along => ({
    input: input[axis],
    kernel: kernel[axis],
    stride: stride[axis],
    dilation: dilation[axis],
    padding: padding[axis],
  });
  const output: RowsAndColumns = [
    windowCount(op, along(0), options.ceilMode === true),
    windowCount(op, along(1), options.ceilMode === true),
  ];
  return { planes: batch * channels, input, output, kernel, stride, dilation, padding };
}

/** Windows along one axis. */
interface Along {
  readonly input: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly padding: number;
}

/** How many there are, each of which has an element of the input. */
function windowCount(op: string, along: Along, isCeil: boolean): number {
  const { input, kernel, stride, dilation, padding } = along;
  if (2 * padding > kernel) {
    throw new RangeError(
      `${op}: padding is at most half of the window, found padding ${padding} with a window of ${kernel}`,
    );
  }
  const places = input + 2 * padding - ((kernel - 1) * dilation + 1);
  if (places < 0) {
    throw new TypeError(
      `${op}: a window of ${(kernel - 1) * dilation + 1} does not fit into ${input} elements with padding ` +
        `${padding}; use a smaller window`,
    );
  }
  const whole = Math.floor(places / stride) + 1;
  const isCut = isCeil && places % stride > 0 && whole * stride < input + padding;
  const count = isCut ? whole + 1 : whole;
  for (let window = 0; window < count; window++) {
    if (elementsInside(along, window) > 0) continue;
    throw new TypeError(
      `${op}: window ${window} has no element of the input (dilation ${dilation}, padding ${padding}); use less padding`,
    );
  }
  return count;
}

function elementsInside({ input, kernel, stride, dilation, padding }: Along, window: number): number {
  const places = Array.from({ length: kernel }, (_, k) => window * stride + k * dilation - padding);
  return places.filter((place) => place >= 0 && place < input).length;
}

function windowMeans(value: Value, sizes: WindowSizes, countsPadding: boolean): Value {
  const { input, output, kernel, stride, padding } = sizes;
  const counts = (axis: 0 | 1): number[] =>
    Array.from({ length: output[axis] }, (_, window) => {
      const first = window * stride[axis] - padding[axis];
      const edge = countsPadding ? padding[axis] : 0;
      return Math.min(first + kernel[axis], input[axis] + edge) - Math.max(first, -edge);
    });
  const [rows, columns] = [counts(0), counts(1)];
  const all = rows.flatMap((row) => columns.map((column) => row * column));
  const divisor = new Set(all).size <= 1
    ? constant(all[0] ?? 1, "f32")
    : constant(HostTensor.from(all, output, "f32"));
  return div(sumOf(value, sizes), divisor);
}

function shapeOf(like: Value, size: RowsAndColumns): Shape {
  return [item(like.shape, 0), item(like.shape, 1), ...size];
}

/** What of `moved` stands where each window of `input` has its maximum. */
function pick(input: Value, moved: Value, sizes: WindowSizes): Value {
  return createValue(pickMaximumOp, [input, moved], { sizes }, "f32", shapeOf(input, sizes.output));
}

function spread(input: Value, moved: Value, sizes: WindowSizes): Value {
  return createValue(spreadMaximumOp, [input, moved], { sizes }, "f32", shapeOf(input, sizes.input));
}

function sumOf(input: Value, sizes: WindowSizes): Value {
  return createValue(windowSumOp, [input], { sizes }, "f32", shapeOf(input, sizes.output));
}

/** Takes elements of the second input from where the windows of the first have their maxima. */
export const pickMaximumOp: OpDefinition<WindowAttributes> = {
  name: "pickMaximum",
  gradient: (value, outGrad) => [undefined, spread(item(value.inputs, 0), outGrad, value.attributes.sizes)],
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const [input, moved] = [item(value.inputs, 0), item(value.inputs, 1)];
      const out = context.regionOf(value);
      const bindings = { input: context.regionOf(input), moved: context.regionOf(moved), out };
      return [{ dispatch: pickMaximum(bindings, value.attributes.sizes), writes: [out] }];
    },
  },
};

/** Adds the elements of the second input, one a window, to where the windows of the first have their maxima. */
export const spreadMaximumOp: OpDefinition<WindowAttributes> = {
  name: "spreadMaximum",
  gradient: (value, outGrad) => [undefined, pick(item(value.inputs, 0), outGrad, value.attributes.sizes)],
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const [input, moved] = [item(value.inputs, 0), item(value.inputs, 1)];
      const out = context.regionOf(value);
      const bindings = { input: context.regionOf(input), moved: context.regionOf(moved), out };
      return [{ dispatch: spreadMaximum(bindings, value.attributes.sizes), writes: [out] }];
    },
  },
};

/** Sum of each window. */
export const windowSumOp: OpDefinition<WindowAttributes> = {
  name: "windowSum",
  gradient(value, outGrad) {
    const { sizes } = value.attributes;
    return [createValue(windowSpreadOp, [outGrad], { sizes }, "f32", item(value.inputs, 0).shape)];
  },
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const out = context.regionOf(value);
      const bindings = { input: context.regionOf(item(value.inputs, 0)), out };
      return [{ dispatch: windowSum(bindings, value.attributes.sizes), writes: [out] }];
    },
  },
};

/** Adds an element of each window to all elements that the window has. */
export const windowSpreadOp: OpDefinition<WindowAttributes> = {
  name: "windowSpread",
  gradient: (value, outGrad) => [sumOf(outGrad, value.attributes.sizes)],
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const out = context.regionOf(value);
      const bindings = { input: context.regionOf(item(value.inputs, 0)), out };
      return [{ dispatch: windowSpread(bindings, value.attributes.sizes), writes: [out] }];
    },
  },
};
