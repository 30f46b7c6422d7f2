import { fillParts } from "../elementwise/fill.ts";
import type { KernelMemory, KernelStep } from "../kernel_steps.ts";
import type { MatmulJoins } from "./matmul_joins.ts";
import {
  matmul,
  type MatmulBindings,
  type MatmulSizes,
  type MatmulVariant,
  requireMatmulSizes,
  type TiledVariant,
} from "./matmul.ts";
import { exceedsBinding, matmulParts } from "./matmul_parts.ts";
import { packedMatmul } from "./packed_matmul.ts";
import { isThin, thinMatmul, thinMatmulParts } from "./thin_matmul.ts";

/** Rows of the result from which on copying B costs less than it saves. */
const FEWEST_ROWS = 16;

/** Products from which on two more dispatches, of 20 µs each, cost less than they save. */
const FEWEST_PRODUCTS = 2 ** 19;

/**
 * `matmul` by any variant, as the dispatches that it takes. Small products of the variant `packed` are those of
 * `register`, as the sizes alone decide. `joins` are for the variant `workgroup`, and an epilogue for thin
 * products too. Matrices that are larger than a binding are multiplied in parts, without joins. Throws `RangeError`
 * for sizes that a shader cannot index.
 */
export function matmulSteps<B>(
  bindings: MatmulBindings<B>,
  sizes: MatmulSizes,
  variant: MatmulVariant,
  memory: KernelMemory<B>,
  joins: MatmulJoins<B> = {},
): KernelStep<B>[] {
  requireMatmulSizes(sizes);
  if (variant === "thinPacked" || variant === "thinWorkgroup") {
    const isCpuAdapter = variant === "thinPacked";
    if (!isThin(sizes)) return matmulSteps(bindings, sizes, isCpuAdapter ? "packed" : "workgroup", memory);
    if (sizes.n === 0) return [];
    if (exceedsBinding(sizes, memory.bindingBytes)) {
      return thinMatmulParts(bindings, sizes, isCpuAdapter, memory);
    }
    const dispatch = thinMatmul(bindings, sizes, isCpuAdapter, joins.epilogue);
    return [{ dispatch, writes: [bindings.out] }];
  }
  if (variant === "packed" && isWorthPacking(sizes)) return packedMatmul(bindings, sizes, memory);
  const tiled = variant === "packed" ? "register" : variant;
  if (exceedsBinding(sizes, memory.bindingBytes)) {
    const parts = largeMatmul(bindings, sizes, tiled, memory);
    if (parts !== undefined) return parts;
  }
  const dispatch = matmul(bindings, { ...sizes, variant: tiled, joins });
  return [{ dispatch, writes: [bindings.out, ...joins.rowSums === undefined ? [] : [joins.rowSums]] }];
}

/** Of matrices that are larger than a binding. */
function largeMatmul<B>(
  bindings: MatmulBindings<B>,
  sizes: MatmulSizes,
  variant: TiledVariant,
  memory: KernelMemory<B>,
): KernelStep<B>[] | undefined {
  if (sizes.k > 0) return matmulParts(bindings, sizes, variant, memory);
  const dispatches = fillParts({ out: bindings.out }, { count: sizes.m * sizes.n, value: 0 }, memory);
  return dispatches.map((dispatch) => ({ dispatch, writes: [bindings.out] }));
}

/** Whether the packed variant is faster on a CPU adapter. Measured on lavapipe; depends on the sizes only. */
function isWorthPacking({ m, n, k }: MatmulSizes): boolean {
  return m >= FEWEST_ROWS && m * n * k >= FEWEST_PRODUCTS;
}
