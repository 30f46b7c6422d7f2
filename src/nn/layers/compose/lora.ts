import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { add, mul } from "../../../graph/ops/arithmetic.ts";
import { matmul } from "../../../graph/ops/matmul.ts";
import { uniform, zeros } from "../../initializers.ts";
import { type Layer, layer as knownLayer, nameOfLayer, requireLayer } from "../../layer.ts";
import { dropout as dropoutLayer } from "../dropout.ts";
import { linearSizes } from "../linear.ts";
import { requireSize } from "../require_input.ts";
import { frozen } from "./frozen.ts";

/** Options of {@link lora}. */
export interface LoraOptions {
  /** Columns of A and rows of B: the rank of what is added to the weight. */
  readonly rank: number;
  /** What is added is multiplied by `alpha / rank`. Default: the rank. */
  readonly alpha?: number | undefined;
  /** The share of the input's elements that training leaves out at random before A. Default 0. */
  readonly dropout?: number | undefined;
}

/** Every option of {@link LoraOptions}. */
export const LORA_OPTIONS: OptionNames<LoraOptions> = { rank: true, alpha: true, dropout: true };

/**
 * A linear layer that is trained by a low-rank change of its weight (Hu and others 2021): `layer(x) + alpha / rank * (x
 * Aᵀ) Bᵀ`. The layer's own `weight` and `bias` are frozen and keep their names, so that a checkpoint of the layer
 * without this loads. Beside them are `lora_A` `[rank, inputs]`, which begins uniform within ± 1 / sqrt(inputs)
 * (Kaiming's for a slope of √5), and `lora_B` `[outputs, rank]`, which begins with zeros: at first nothing is added.
 *
 * @throws TypeError for a layer that `nn.linear` did not make.
 *
 * @example
 * ```ts
 * const adapted = nn.lora(nn.linear(784, 256), { rank: 8, alpha: 16 });
 * ```
 */
export function lora(layer: Layer, options: LoraOptions): Layer {
  const { rank, alpha = rank, dropout = 0 } = checkOptions(
    "lora()",
    options,
    LORA_OPTIONS,
    "{ rank: 8, alpha: 16 }",
  );
  requireLayer("lora", "layer", layer);
  const sizes = linearSizes(layer);
  if (sizes === undefined) {
    throw new TypeError(
      `lora: wraps what nn.linear() makes, found ${
        nameOfLayer(layer)
      }; wrap each linear() that is to be adapted`,
    );
  }
  requireSize("lora", "the rank", rank);
  if (!Number.isFinite(alpha)) throw new RangeError(`lora: alpha is a number, found ${alpha}`);
  const { inputs, outputs } = sizes;
  const name = `lora(linear(${inputs}, ${outputs}))`;
  const bound = 1 / Math.sqrt(inputs);
  const base = frozen(layer);
  const drop = dropoutLayer(dropout);
  return knownLayer((x, scope) => {
    const result = base(x, scope);
    const a = scope.parameter("lora_A", [rank, inputs], uniform(-bound, bound));
    const b = scope.parameter("lora_B", [outputs, rank], zeros());
    const inner = matmul(dropout > 0 ? drop(x, scope) : x, a, { transposeB: true });
    return add(result, mul(matmul(inner, b, { transposeB: true }), alpha / rank));
  }, name);
}
