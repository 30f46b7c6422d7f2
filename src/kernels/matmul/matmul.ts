import type { Dispatch } from "../../gpu/dispatch.ts";
import { gridFor } from "../../gpu/dispatch.ts";
import { fill } from "../elementwise/fill.ts";
import { epilogueCode, epilogueWgsl, type MatmulJoins } from "./matmul_joins.ts";
import type { MatmulLayout } from "./matmul_layout.ts";
import { readsBetterAlongDepth, registerMatmulWgsl, registerTileOf } from "./matmul_register.ts";
import { workgroupMatmulWgsl, workgroupTileFor } from "./matmul_workgroup.ts";
import { requireElements, requireSizes } from "../sizes.ts";

/**
 * `register`: each invocation computes a tile of the result in registers and reads its operands from memory. For CPU
 * adapters, where workgroup memory is memory like any other and barriers cost much.
 * `workgroup`: the invocations of a workgroup share tiles of the operands in workgroup memory. For GPUs.
 */
export type TiledVariant = "register" | "workgroup";

/**
 * Besides those, `packed`: operands are copied into blocks for uniform buffers, which CPU adapters read fastest. It
 * takes several dispatches; see `matmulSteps`.
 *
 * `thinPacked` and `thinWorkgroup`: products of few rows have a kernel of their own, all others are `packed` or
 * `workgroup`. For programs that compute one position of a sequence after the other.
 */
export type MatmulVariant = TiledVariant | "packed" | "thinPacked" | "thinWorkgroup";

/** What a matmul binds. */
export interface MatmulBindings<B> {
  readonly a: B;
  readonly b: B;
  readonly out: B;
}

/** The sizes of a product of an m x k and a k x n matrix, and how they are stored. */
export interface MatmulSizes {
  /** Rows of the result. */
  readonly m: number;
  /** Columns of the result. */
  readonly n: number;
  /** Terms of each sum. With 0 the result is zeros. */
  readonly k: number;
  /** Whether A is stored `[k, m]` instead of `[m, k]`. Default false. */
  readonly transposeA?: boolean;
  /** Whether B is stored `[n, k]` instead of `[k, n]`. Default false. */
  readonly transposeB?: boolean;
}

/** The product of an m x k and a k x n matrix. */
export interface MatmulOptions<B> extends MatmulSizes {
  readonly variant: TiledVariant;
  /** What its kernel does besides; of the variant `workgroup` only, and not where k is 0. */
  readonly joins?: MatmulJoins<B> | undefined;
}

/**
 * `out[m, n] = A[m, k] B[k, n]` in f32, row-major.
 *
 * Each element is summed in the order of k by one invocation, so equal inputs give equal bits, whatever the grid;
 * whether a product and a sum are fused is up to the adapter. It is off by at most k roundings (2^-24 each) of the
 * sum of the magnitudes of its products, and by a few of them where the products' signs vary. Throws `RangeError` for
 * sizes that a shader cannot index.
 */
export function matmul<B>(bindings: MatmulBindings<B>, options: MatmulOptions<B>): Dispatch<B> {
  const { m, n, k, variant, joins = {} } = options;
  requireMatmulSizes(options);
  const { epilogue, rowSums } = joins;
  if ((epilogue !== undefined || rowSums !== undefined) && (k === 0 || variant !== "workgroup")) {
    throw new TypeError(
      `matmul: the variant ${variant} over ${k} terms computes nothing besides its product`,
    );
  }
  if (epilogue !== undefined && rowSums !== undefined) {
    throw new TypeError("matmul: a kernel has an epilogue or sums rows, not both");
  }
  if (k === 0) return fill({ out: bindings.out }, { count: m * n, value: 0 });
  const element = epilogue === undefined ? undefined : epilogueCode(epilogue, n % 4 === 0);
  const layout: MatmulLayout = {
    ...layoutOf(options),
    ...element === undefined ? {} : {
      vectorOut: n % 4 === 0 && element.width !== 1,
      epilogue: epilogueWgsl(element, epilogue?.product ?? 0),
    },
    sumsRows: rowSums !== undefined,
  };
  const { code, tile } = sourceOf(variant, layout, m, n);
  return {
    label: labelOf(options, variant),
    code,
    constants: { m, n, k, ...element?.constants },
    bindings: [
      ...[bindings.a, bindings.b, bindings.out],
      ...element?.bindings ?? [],
      ...rowSums === undefined ? [] : [rowSums],
    ],
    workgroups: gridFor(Math.ceil(m / tile.rows) * Math.ceil(n / tile.columns)),
  };
}

/** What a product is called in messages. */
export function labelOf(
  { m, n, k, transposeA = false, transposeB = false }: MatmulSizes,
  variant: string,
): string {
  return `matmul ${m}x${k}${transposeA ? "ᵀ" : ""} ${k}x${n}${transposeB ? "ᵀ" : ""} ${variant}`;
}

/** How a product of nothing else than matrices reads and writes memory. */
export function layoutOf(
  { m, n, k, transposeA = false, transposeB = false }: MatmulSizes,
): MatmulLayout {
  return {
    transposeA,
    transposeB,
    vectorA: transposeA && m % 4 === 0,
    vectorB: !transposeB && n % 4 === 0,
    vectorOut: n % 4 === 0,
    vectorDepth: !transposeA && transposeB && readsBetterAlongDepth(n, k),
  };
}

/** Throws `RangeError` for sizes that a shader cannot index. */
export function requireMatmulSizes({ m, n, k }: MatmulSizes): void {
  requireSizes("matmul", { m, n, k });
  for (const sizes of [[m, k], [k, n], [m, n]]) requireElements("matmul", sizes);
}

/** The source of a variant, for a result of m x n. */
export function sourceOf(variant: TiledVariant, layout: MatmulLayout, m: number, n: number): MatmulSource {
  if (variant === "register") return { code: registerMatmulWgsl(layout), tile: registerTileOf(layout) };
  const tile = workgroupTileFor(m, n);
  return { code: workgroupMatmulWgsl(layout, tile), tile };
}

/** A kernel's source. */
interface MatmulSource {
  readonly code: string;
  /** What one workgroup computes. */
  readonly tile: { readonly rows: number; readonly columns: number };
}
