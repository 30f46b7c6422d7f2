import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import type { NormManner, NormSizes } from "../../../kernels/norm/norm_sizes.ts";
import { elementCount, formatShape, type Shape, shapesEqual } from "../../../tensor/shape.ts";
import { createValue } from "../../create_value.ts";
import { item, type OpDefinition } from "../../op.ts";
import type { Value } from "../../value.ts";
import { requireDType } from "../requirements.ts";
import { reshape } from "../views.ts";
import { groupNormOp, layerNormOp, rmsNormOp, type RowNormAttributes } from "./row_norm_ops.ts";

/** Options of {@link rmsNorm}. */
export interface RmsNormOpOptions {
  /** The sizes of the last axes, which are normalised together. Default: that of the last axis. */
  readonly normalizedShape?: Shape | undefined;
  /** By what elements are multiplied, of the normalised shape. */
  readonly weight?: Value | undefined;
  /** Added to the mean of squares. Default 2^-23, as in PyTorch. */
  readonly epsilon?: number | undefined;
}

/** Every option of {@link RmsNormOpOptions}. */
export const RMS_NORM_OP_OPTIONS: OptionNames<RmsNormOpOptions> = {
  normalizedShape: true,
  weight: true,
  epsilon: true,
};

/** Options of {@link layerNorm}. */
export interface LayerNormOpOptions {
  /** The sizes of the last axes, which are normalised together. Default: that of the last axis. */
  readonly normalizedShape?: Shape | undefined;
  /** By what elements are multiplied, of the normalised shape. */
  readonly weight?: Value | undefined;
  /** What is added to them, of the normalised shape. */
  readonly bias?: Value | undefined;
  /** Added to the variance. Default 1e-5. */
  readonly epsilon?: number | undefined;
}

/** Every option of {@link LayerNormOpOptions}. */
export const LAYER_NORM_OP_OPTIONS: OptionNames<LayerNormOpOptions> = { ...RMS_NORM_OP_OPTIONS, bias: true };

/** Options of {@link groupNorm}. */
export interface GroupNormOpOptions {
  /** By what each channel is multiplied, `[channels]`. */
  readonly weight?: Value | undefined;
  /** What is added to each channel, `[channels]`. */
  readonly bias?: Value | undefined;
  /** Added to the variance. Default 1e-5. */
  readonly epsilon?: number | undefined;
}

/** Every option of {@link GroupNormOpOptions}. */
export const GROUP_NORM_OP_OPTIONS: OptionNames<GroupNormOpOptions> = {
  weight: true,
  bias: true,
  epsilon: true,
};

/**
 * Shifts and scales the last axis, or the last axes, to mean 0 and variance 1: `(x - mean) / sqrt(variance + epsilon)
 * * weight + bias`, f32, PyTorch's `layer_norm`. One kernel; one for the gradient of `value`, and one or two for those
 * of weight and bias, whose sums have a fixed order. (On CPU adapters a small one before it copies weight and bias to
 * where they are read faster.)
 *
 * The mean is exact but for its rounding and that of the differences from it, at any length, so rows of equal elements
 * give the bias. The variance is the mean of squared differences, off by at most 2e-6 of itself. A row with a NaN or an
 * infinity is NaN.
 */
export function layerNorm(value: Value, options: LayerNormOpOptions = {}): Value {
  const { normalizedShape, weight, bias, epsilon = 1e-5 } = checkOptions(
    "layerNorm()",
    options,
    LAYER_NORM_OP_OPTIONS,
    "{ epsilon: 1e-5 }",
  );
  const shape = normalizedShapeOf("layerNorm", value, normalizedShape);
  return rowNorm(layerNormOp, value, shape, rowsOf(value, shape), { isCentred: true, epsilon }, weight, bias);
}

/**
 * Divides the last axis, or the last axes, by the root of the mean square: `x / sqrt(mean(x²) + epsilon) * weight`,
 * f32, PyTorch's `rms_norm`. As many kernels as {@link layerNorm}; the mean is off by at most 1e-6 of itself.
 */
export function rmsNorm(value: Value, options: RmsNormOpOptions = {}): Value {
  const { normalizedShape, weight, epsilon = 2 ** -23 } = checkOptions(
    "rmsNorm()",
    options,
    RMS_NORM_OP_OPTIONS,
    "{ epsilon: 1e-6 }",
  );
  const shape = normalizedShapeOf("rmsNorm", value, normalizedShape);
  return rowNorm(rmsNormOp, value, shape, rowsOf(value, shape), { isCentred: false, epsilon }, weight);
}

/**
 * As {@link layerNorm} for each of `groups` groups of neighbouring channels of an example, f32 `[batch, channels, …]`,
 * PyTorch's `group_norm`; weight and bias are `[channels]`.
 */
export function groupNorm(value: Value, groups: number, options: GroupNormOpOptions = {}): Value {
  const { weight, bias, epsilon = 1e-5 } = checkOptions(
    "groupNorm()",
    options,
    GROUP_NORM_OP_OPTIONS,
    "{ epsilon: 1e-5 }",
  );
  const [batch = 0, channels] = value.shape;
  if (channels === undefined) {
    throw new TypeError(`groupNorm: takes [batch, channels, …], found ${formatShape(value.shape)}`);
  }
  if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0) {
    throw new RangeError(`groupNorm: groups is a number that divides ${channels} channels, found ${groups}`);
  }
  const sizes = { batch, channels, inner: elementCount(value.shape.slice(2)), groups };
  return rowNorm(groupNormOp, value, [channels], sizes, { isCentred: true, epsilon }, weight, bias);
}

function rowNorm(
  op: OpDefinition<RowNormAttributes>,
  value: Value,
  affineShape: Shape,
  sizes: NormSizes,
  manner: NormManner,
  weight?: Value,
  bias?: Value,
): Value {
  requireDType(op.name, value, ["f32"]);
  requireEpsilon(op.name, manner.epsilon);
  const affine = Object.entries({ weight, bias }).flatMap(([name, each]) => {
    if (each === undefined) return [];
    requireDType(op.name, each, ["f32"]);
    if (!shapesEqual(each.shape, affineShape)) {
      throw new TypeError(
        `${op.name}: the ${name} of ${formatShape(value.shape)} has the shape ${
          formatShape(affineShape)
        }, found ` +
          formatShape(each.shape),
      );
    }
    return [reshape(each, [sizes.channels])];
  });
  const attributes = { ...sizes, ...manner, hasWeight: weight !== undefined, hasBias: bias !== undefined };
  return createValue(op, [value, ...affine], attributes, "f32", value.shape);
}

/** @throws RangeError for what cannot be added to a variance. */
export function requireEpsilon(op: string, epsilon: number): void {
  if (epsilon >= 0 && epsilon < Infinity) return;
  throw new RangeError(`${op}: epsilon is a number from 0 on, found ${epsilon}`);
}

function normalizedShapeOf(op: string, { shape }: Value, wanted: Shape | undefined): Shape {
  if (shape.length === 0) throw new TypeError(`${op}: a number has no axis to normalise; reshape it`);
  const normalized = wanted ?? shape.slice(-1);
  if (
    Array.isArray(normalized) && normalized.length > 0 &&
    shapesEqual(shape.slice(-normalized.length), normalized)
  ) {
    return normalized;
  }
  throw new TypeError(
    `${op}: normalizedShape is the sizes of the last axes of ${formatShape(shape)}, such as ` +
      `[${item(shape, shape.length - 1)}], found ${
        Array.isArray(wanted) ? formatShape(wanted) : String(wanted)
      }`,
  );
}

/** Rows of that many elements, each a channel. */
function rowsOf({ shape }: Value, normalized: Shape): NormSizes {
  const batch = elementCount(shape.slice(0, shape.length - normalized.length));
  return { batch, channels: elementCount(normalized), inner: 1, groups: 1 };
}
