import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { matmul as launchMatmul, type MatmulVariant } from "../../kernels/matmul/matmul.ts";
import { formatShape } from "../../tensor/shape.ts";
import { createValue } from "../create_value.ts";
import { type Binding, item, type OpDefinition, type VariantChoices } from "../op.ts";
import type { Value } from "../value.ts";
import { requireDType } from "./requirements.ts";
import { isTransposedMatrix } from "./views.ts";

/** Options of {@link matmul}. */
export interface MatmulOptions {
  /** Whether `a` is given as `[k, m]`. */
  readonly transposeA?: boolean;
  /** Whether `b` is given as `[n, k]`. */
  readonly transposeB?: boolean;
}

/** Every option of {@link MatmulOptions}. */
export const MATMUL_OPTIONS: OptionNames<MatmulOptions> = { transposeA: true, transposeB: true };

/** Attributes of `matmul`. */
export type MatmulAttributes = { readonly transposeA: boolean; readonly transposeB: boolean };

/**
 * Matrix product of `a` `[m, k]` and `b` `[k, n]`, `f32`: `[m, n]`. Transposed operands are read in place. An element
 * is off by at most `k * 2^-24` of the sum of the magnitudes of its products; so is the gradient of a weight, whose
 * `k` is the batch.
 */
export function matmul(a: Value, b: Value, options: MatmulOptions = {}): Value {
  checkOptions("matmul()", options, MATMUL_OPTIONS, "{ transposeB: true }");
  if (isTransposedMatrix(a)) {
    return matmul(item(a.inputs, 0), b, { ...options, transposeA: options.transposeA !== true });
  }
  if (isTransposedMatrix(b)) {
    return matmul(a, item(b.inputs, 0), { ...options, transposeB: options.transposeB !== true });
  }
  const transposeA = options.transposeA === true;
  const transposeB = options.transposeB === true;
  requireDType("matmul", a, ["f32"]);
  requireDType("matmul", b, ["f32"]);
  const [m, k] = matrixShape(a, b, a, transposeA);
  const [depth, n] = matrixShape(a, b, b, transposeB);
  if (k !== depth) {
    const operands = describeOperands(a, b, transposeA, transposeB);
    throw new TypeError(
      `matmul: ${operands} do not fit: the inner sizes are ${k} and ${depth}; ` +
        "transpose one of them or change its shape",
    );
  }
  return createValue(matmulOp, [a, b], { transposeA, transposeB }, "f32", [m, n]);
}

/** For C = AB: dA = dC Bᵀ and dB = Aᵀ dC, with the transposes folded into flags. */
export const matmulOp: OpDefinition<MatmulAttributes> = {
  name: "matmul",
  gradient(value, outGrad) {
    const a = item(value.inputs, 0);
    const b = item(value.inputs, 1);
    const { transposeA, transposeB } = value.attributes;
    return [
      transposeA
        ? matmul(b, outGrad, { transposeA: transposeB, transposeB: true })
        : matmul(outGrad, b, { transposeB: !transposeB }),
      transposeB
        ? matmul(outGrad, a, { transposeA: true, transposeB: transposeA })
        : matmul(a, outGrad, { transposeA: !transposeA }),
    ];
  },
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const a = item(value.inputs, 0);
      const out = context.regionOf(value);
      const { transposeA, transposeB } = value.attributes;
      const [m, n] = [item(value.shape, 0), item(value.shape, 1)];
      const k = item(a.shape, transposeA ? 0 : 1);
      const variant = context.variant("matmul", MATMUL_VARIANTS);
      const dispatch = launchMatmul<Binding>(
        { a: context.regionOf(a), b: context.regionOf(item(value.inputs, 1)), out },
        { m, n, k, transposeA, transposeB, variant },
      );
      return [{ dispatch, writes: [out] }];
    },
  },
};

const MATMUL_VARIANTS: VariantChoices<MatmulVariant> = {
  all: ["register", "workgroup"],
  cpu: "register",
  gpu: "workgroup",
};

function matrixShape(
  a: Value,
  b: Value,
  operand: Value,
  isTransposed: boolean,
): [rows: number, columns: number] {
  const [rows, columns, ...more] = operand.shape;
  if (rows === undefined || columns === undefined || more.length > 0) {
    throw new TypeError(
      `matmul: takes two matrices, not shapes ${formatShape(a.shape)} and ${formatShape(b.shape)}; ` +
        "reshape them to two axes",
    );
  }
  return isTransposed ? [columns, rows] : [rows, columns];
}

function describeOperands(a: Value, b: Value, transposeA: boolean, transposeB: boolean): string {
  const left = `${formatShape(a.shape)}${transposeA ? " transposed" : ""}`;
  return `${left} and ${formatShape(b.shape)}${transposeB ? " transposed" : ""}`;
}
