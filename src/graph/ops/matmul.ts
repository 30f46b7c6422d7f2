import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { MatmulSizes, MatmulVariant } from "../../kernels/matmul/matmul.ts";
import { MOST_EPILOGUE_INPUTS } from "../../kernels/matmul/matmul_joins.ts";
import { exceedsBinding } from "../../kernels/matmul/matmul_parts.ts";
import { matmulSteps } from "../../kernels/matmul/matmul_steps.ts";
import { isThin } from "../../kernels/matmul/thin_matmul.ts";
import { broadcastShapes, elementCount, formatShape } from "../../tensor/shape.ts";
import { createValue, isResultOf } from "../create_value.ts";
import { memoryOf, stepsOf } from "../kernel_steps.ts";
import { type Binding, item, type OpDefinition, type VariantChoices } from "../op.ts";
import { sizeOf, type Value } from "../value.ts";
import { batchedMatmul, withMatricesTransposed } from "./batched_matmul.ts";
import { requireDType } from "./requirements.ts";
import { isTransposedMatrix, reshape, transpose, transposeOp } from "./views.ts";

/** Options of {@link matmul}. */
export interface MatmulOptions {
  /** Whether `a` is given as `[…, k, m]`. */
  readonly transposeA?: boolean;
  /** Whether `b` is given as `[…, n, k]`. */
  readonly transposeB?: boolean;
}

/** Every option of {@link MatmulOptions}. */
export const MATMUL_OPTIONS: OptionNames<MatmulOptions> = { transposeA: true, transposeB: true };

/** Attributes of `matmul`. */
export type MatmulAttributes = { readonly transposeA: boolean; readonly transposeB: boolean };

/**
 * Matrix product of `a` `[…, m, k]` and `b` `[…, k, n]`, `f32`: `[…, m, n]`. Leading axes broadcast, and a vector is a
 * row on the left and a column on the right, whose axis the result does not have, as in NumPy. Transposed operands are
 * read in place. An element is off by at most `k * 2^-24` of the sum of the magnitudes of its products; so is the
 * gradient of a weight, whose `k` is the batch.
 */
export function matmul(a: Value, b: Value, options: MatmulOptions = {}): Value {
  checkOptions("matmul()", options, MATMUL_OPTIONS, "{ transposeB: true }");
  requireDType("matmul", a, ["f32"]);
  requireDType("matmul", b, ["f32"]);
  const [transposeA, transposeB] = [options.transposeA === true, options.transposeB === true];
  checkShapes(a, b, transposeA, transposeB);
  if (a.shape.length === 1 || b.shape.length === 1) return ofVector(a, b, transposeA, transposeB);
  if (a.shape.length === 2 && b.shape.length === 2) return ofMatrices(a, b, transposeA, transposeB);
  // The rows of all matrices are those of one, where they meet the same second operand.
  if (!transposeA && b.shape.slice(0, -2).every((size) => size === 1) && a.shape.length >= b.shape.length) {
    return ofAllRows(a, reshape(b, b.shape.slice(-2)), transposeB);
  }
  const rank = Math.max(a.shape.length, b.shape.length);
  const [left, right] = [withLeadingAxes(a, rank), withLeadingAxes(b, rank)];
  return batchedMatmul(
    transposeA ? withMatricesTransposed(left) : left,
    transposeB ? withMatricesTransposed(right) : right,
  );
}

/** Of a row with matrices or of matrices with a column. */
function ofVector(a: Value, b: Value, transposeA: boolean, transposeB: boolean): Value {
  const [isRow, isColumn] = [a.shape.length === 1, b.shape.length === 1];
  const product = matmul(
    isRow ? reshape(a, [1, ...a.shape]) : a,
    isColumn ? reshape(b, [...b.shape, 1]) : b,
    {
      transposeA,
      transposeB,
    },
  );
  const leading = product.shape.slice(0, -2);
  const [m = 1, n = 1] = product.shape.slice(-2);
  return reshape(product, [...leading, ...isRow ? [] : [m], ...isColumn ? [] : [n]]);
}

/** Of two matrices, where they are stored. */
function ofMatrices(a: Value, b: Value, transposeA: boolean, transposeB: boolean): Value {
  if (isTransposedMatrix(a)) return ofMatrices(item(a.inputs, 0), b, !transposeA, transposeB);
  if (isTransposedMatrix(b)) return ofMatrices(a, item(b.inputs, 0), transposeA, !transposeB);
  const shape = [item(a.shape, transposeA ? 1 : 0), item(b.shape, transposeB ? 0 : 1)];
  return createValue(matmulOp, [a, b], { transposeA, transposeB }, "f32", shape);
}

/** Of the rows of all matrices of `a` with the matrix `b`. */
function ofAllRows(a: Value, b: Value, transposeB: boolean): Value {
  const leading = a.shape.slice(0, -1);
  const rows = reshape(a, [elementCount(leading), item(a.shape, a.shape.length - 1)]);
  return reshape(ofMatrices(rows, b, false, transposeB), [...leading, item(b.shape, transposeB ? 0 : 1)]);
}

/** `value` with axes of size 1 in front, so that it has `rank`; a transposed one stays one that is read in place. */
function withLeadingAxes(value: Value, rank: number): Value {
  const added = rank - value.shape.length;
  if (added === 0) return value;
  const units = Array<number>(added).fill(1);
  if (!isResultOf(transposeOp, value)) return reshape(value, [...units, ...value.shape]);
  const source = item(value.inputs, 0);
  const permutation = [...units.keys(), ...value.attributes.permutation.map((axis) => axis + added)];
  return transpose(reshape(source, [...units, ...source.shape]), permutation);
}

/** For C = AB: dA = dC Bᵀ and dB = Aᵀ dC, with the transposes folded into flags. */
export const matmulOp: OpDefinition<MatmulAttributes> = {
  name: "matmul",
  flops: (value) => 2 * sizeOf(value) * innerSizeOf(value),
  gradient(value, outGrad) {
    const a = item(value.inputs, 0);
    const b = item(value.inputs, 1);
    const { transposeA, transposeB } = value.attributes;
    return [
      transposeA ? ofMatrices(b, outGrad, transposeB, true) : ofMatrices(outGrad, b, false, !transposeB),
      transposeB ? ofMatrices(outGrad, a, true, transposeA) : ofMatrices(a, outGrad, !transposeA, false),
    ];
  },
  lowering: {
    kind: "kernel",
    precision: "factors",
    joins(value, context) {
      if (innerSizeOf(value) === 0 || sizeOf(value) === 0) return undefined;
      if (exceedsBinding(sizesOf(value), context.bindingBytes)) return undefined;
      const variant = context.variant("matmul", MATMUL_VARIANTS);
      const isThinKernel = variant.startsWith("thin") && isThin(sizesOf(value));
      if (isThinKernel) return { operands: MOST_EPILOGUE_INPUTS };
      if (variant !== "workgroup") return undefined;
      const summed = value.attributes.transposeA ? item(value.inputs, 0) : undefined;
      return { operands: MOST_EPILOGUE_INPUTS, summed };
    },
    steps(value, context) {
      const a = item(value.inputs, 0);
      const { epilogue, sum: rowSums } = context.joinsOf(value);
      const out = epilogue?.out ?? context.regionOf(value);
      const variant = context.variant("matmul", MATMUL_VARIANTS);
      const steps = matmulSteps<Binding>(
        { a: context.regionOf(a), b: context.regionOf(item(value.inputs, 1)), out },
        sizesOf(value),
        variant,
        memoryOf(context),
        { epilogue, rowSums },
      );
      return stepsOf(steps);
    },
  },
};

const MATMUL_VARIANTS: VariantChoices<MatmulVariant> = {
  all: ["packed", "register", "workgroup", "thinPacked", "thinWorkgroup"],
  cpu: "packed",
  gpu: "workgroup",
};

function checkShapes(a: Value, b: Value, transposeA: boolean, transposeB: boolean): void {
  const operands = describeOperands(a, b, transposeA, transposeB);
  if (a.shape.length === 0 || b.shape.length === 0) {
    throw new TypeError(`matmul: takes matrices and vectors, not shapes ${operands}; mul() takes numbers`);
  }
  if (a.shape.length === 1 && transposeA || b.shape.length === 1 && transposeB) {
    throw new TypeError(
      `matmul: of ${operands} one is a vector, which has no transpose; leave the option out`,
    );
  }
  const k = a.shape.at(transposeA ? -2 : -1);
  const depth = b.shape.at(transposeB || b.shape.length === 1 ? -1 : -2);
  if (k !== depth) {
    throw new TypeError(
      `matmul: ${operands} do not fit: the inner sizes are ${k} and ${depth}; ` +
        "transpose one of them or change its shape",
    );
  }
  try {
    broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
  } catch (cause) {
    throw new TypeError(
      `matmul: ${operands} do not fit: their leading axes do not broadcast; sizes have to be equal or 1`,
      { cause },
    );
  }
}

function describeOperands(a: Value, b: Value, transposeA: boolean, transposeB: boolean): string {
  const left = `${formatShape(a.shape)}${transposeA ? " transposed" : ""}`;
  return `${left} and ${formatShape(b.shape)}${transposeB ? " transposed" : ""}`;
}

function sizesOf(value: Value<MatmulAttributes>): MatmulSizes {
  return { m: item(value.shape, 0), n: item(value.shape, 1), k: innerSizeOf(value), ...value.attributes };
}

/** How many products each element of a matmul is the sum of. */
function innerSizeOf({ inputs, attributes: { transposeA } }: Value<MatmulAttributes>): number {
  return item(item(inputs, 0).shape, transposeA ? 0 : 1);
}
