import type { KernelMemory, KernelStep } from "../kernel_steps.ts";
import type { MatmulJoins } from "./matmul_joins.ts";
import {
  matmul,
  type MatmulBindings,
  type MatmulSizes,
  type MatmulVariant,
  requireMatmulSizes,
} from "./matmul.ts";
import { packedMatmul } from "./packed_matmul.ts";
import { isThin, thinMatmul } from "./thin_matmul.ts";

/** Rows of the result from which on copying B costs less than it saves. */
const FEWEST_ROWS = 16;

/** Products from which on two more dispatches, of 20 µs each, cost less than they save. */
const FEWEST_PRODUCTS = 2 ** 19;

/**
 * `matmul` by any variant, as the dispatches that it takes. Small products of the variant `packed` are those of
 * `register`, as the sizes alone decide. `joins` are for the variant `workgroup`, and an epilogue for thin
 * products too. Throws `RangeError` for sizes that a
 * shader cannot index.
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
    const dispatch = thinMatmul(bindings, sizes, isCpuAdapter, joins.epilogue);
    return [{ dispatch, writes: [bindings.out] }];
  }
  if (variant === "packed" && isWorthPacking(sizes)) return packedMatmul(bindings, sizes, memory);
  const dispatch = matmul(bindings, {
    ...sizes,
    variant: variant === "packed" ? "register" : variant,
    joins,
  });
  return [{ dispatch, writes: [bindings.out, ...joins.rowSums === undefined ? [] : [joins.rowSums]] }];
}

/** Whether the packed variant is faster on a CPU adapter. Measured on lavapipe; depends on the sizes only. */
function isWorthPacking({ m, n, k }: MatmulSizes): boolean {
  return m >= FEWEST_ROWS && m * n * k >= FEWEST_PRODUCTS;
}
