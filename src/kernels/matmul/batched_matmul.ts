import { type Dispatch, gridFor } from "../../gpu/dispatch.ts";
import { fill } from "../elementwise/fill.ts";
import { collapse } from "../elementwise/strided_access.ts";
import { requireElements, requireSizes } from "../sizes.ts";
import type { MatmulBindings } from "./matmul.ts";
import type { MatmulLayout } from "./matmul_layout.ts";
import { readsBetterAlongDepth, registerMatmulWgsl, registerTileOf } from "./matmul_register.ts";
import { workgroupMatmulWgsl, workgroupTileFor } from "./matmul_workgroup.ts";

/** The variants of a batch; see `MatmulVariant`. */
export type BatchedMatmulVariant = "register" | "workgroup";

/** Where the matrices of an operand are. */
export interface MatrixWalk {
  /** Elements between neighbours along each axis of the batch; 0 where one matrix serves all. */
  readonly strides: readonly number[];
  /** Whether the lines in memory are columns: A as `[k, m]`, B as `[n, k]`. */
  readonly isTransposed: boolean;
  /** Elements between the beginnings of neighbouring lines. */
  readonly pitch: number;
}

/** Products of m x k and k x n matrices, one for each place of a batch. */
export interface BatchedMatmulOptions {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Sizes of the batch's axes. */
  readonly batch: readonly number[];
  readonly a: MatrixWalk;
  readonly b: MatrixWalk;
  readonly variant: BatchedMatmulVariant;
}

/**
 * `out[…, m, n] = A[…, m, k] B[…, k, n]` in f32, each matrix by the arithmetic of `matmul`. Operands are read where
 * they are: repeated, transposed, or with their axes in another order, as long as one axis of the matrix is
 * contiguous.
 */
export function batchedMatmul<B>(bindings: MatmulBindings<B>, options: BatchedMatmulOptions): Dispatch<B> {
  const { m, n, k, batch, a, b, variant } = options;
  requireSizes("batchedMatmul", { m, n, k });
  const matrices = requireElements("batchedMatmul", batch);
  for (const sizes of [[m, k], [k, n], [matrices, m, n]]) requireElements("batchedMatmul", sizes);
  if (k === 0) return fill({ out: bindings.out }, { count: matrices * m * n, value: 0 });
  const { sizes, walks } = collapse(batch, [a, b]);
  const layout = layoutOf(options, sizes.length);
  const tile = variant === "register" ? registerTileOf(layout) : workgroupTileFor(m, n, matrices);
  const tiles = Math.ceil(m / tile.rows) * Math.ceil(n / tile.columns);
  const [vectorA, vectorB] = [layout.vectorA || layout.vectorDepth, layout.vectorB || layout.vectorDepth];
  const units = { a: vectorA ? 4 : 1, b: vectorB ? 4 : 1, out: layout.vectorOut ? 4 : 1 };
  const axes = sizes.flatMap((size, axis) => [
    [`batch_size_${axis}`, size],
    [`a_batch_${axis}`, (walks[0]?.strides[axis] ?? 0) / units.a],
    [`b_batch_${axis}`, (walks[1]?.strides[axis] ?? 0) / units.b],
  ]);
  return {
    label: `matmul ${batch.join("x")} of ${m}x${k}${a.isTransposed ? "ᵀ" : ""} ${k}x${n}${
      b.isTransposed ? "ᵀ" : ""
    } ${variant}`,
    code: variant === "register"
      ? registerMatmulWgsl(layout)
      : workgroupMatmulWgsl(layout, workgroupTileFor(m, n, matrices)),
    constants: {
      ...{ m, n, k, matrices, tiles },
      a_pitch: a.pitch / units.a,
      b_pitch: b.pitch / units.b,
      out_size: m * n / units.out,
      ...Object.fromEntries(axes),
    },
    bindings: [bindings.a, bindings.b, bindings.out],
    workgroups: gridFor(matrices * tiles),
  };
}

/** Vectors are read where all lines of all matrices begin at whole ones. */
function layoutOf({ m, n, k, a, b, variant }: BatchedMatmulOptions, batchAxes: number): MatmulLayout {
  const [wholeA, wholeB] = [a, b].map(({ strides, pitch }) =>
    [...strides, pitch].every((step) => step % 4 === 0)
  );
  const isWholeA = wholeA === true;
  const isWholeB = wholeB === true;
  return {
    transposeA: a.isTransposed,
    transposeB: b.isTransposed,
    vectorA: a.isTransposed && m % 4 === 0 && isWholeA,
    vectorB: !b.isTransposed && n % 4 === 0 && isWholeB,
    vectorOut: n % 4 === 0,
    // The workgroup variant reads along depth one by one.
    vectorDepth: variant === "register" && !a.isTransposed && b.isTransposed && readsBetterAlongDepth(n, k) &&
      isWholeA && isWholeB,
    batchAxes,
  };
}
