import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { where } from "../../../graph/ops/comparison.ts";
import { embedding as embeddingOf } from "../../../graph/ops/indexing/take.ts";
import { matmul } from "../../../graph/ops/matmul.ts";
import { constant } from "../../../graph/ops/sources.ts";
import type { Value } from "../../../graph/value.ts";
import { HostTensor } from "../../../tensor/host_tensor.ts";
import { formatShape } from "../../../tensor/shape.ts";
import { type Initializer, normal } from "../../initializers.ts";
import { type Layer, layer } from "../../layer.ts";
import type { Scope } from "../../scope.ts";
import { placeOf, requireSize } from "../require_input.ts";

/** Options of {@link embedding}. */
export interface EmbeddingLayerOptions {
  /** The index of what stands for nothing: its row begins as zeros, and `embedding` gives it no gradient. */
  readonly paddingIndex?: number | undefined;
  /** Default: `normal()`, as in PyTorch. For `attend` `normal(0, 1 / sqrt(dim))` is better: scores of deviation 1. */
  readonly weightInitializer?: Initializer | undefined;
}

/** Every option of {@link EmbeddingLayerOptions}. */
export const EMBEDDING_LAYER_OPTIONS: OptionNames<EmbeddingLayerOptions> = {
  paddingIndex: true,
  weightInitializer: true,
};

/** From indices to rows, and with the same weight from rows to a score for each index. */
export interface EmbeddingLayer {
  /** The rows that `indices` name. */
  (indices: Value, scope: Scope): Value;
  /**
   * The layer `x Wᵀ` over the embedding's own weight: `[…, dim]` to `[…, vocabulary]`, for the output of a model
   * whose weights are tied (Press and Wolf 2017). It may stand anywhere behind the embedding, and has no bias. A
   * `TypeError` where the model has not called the embedding before, or has several weights of it.
   */
  readonly attend: Layer;
}

/**
 * A row of numbers for each index: `[batch, …]` of u8, i32 or u32 to `[batch, …, dim]`. Parameter `weight`
 * `[vocabulary, dim]`. Its gradient adds up in a fixed order, without atomics. The trainer refuses an index that is no
 * row, with the example and the index, before it reaches the GPU.
 *
 * @example
 * ```ts
 * const tokens = nn.embedding(65, 64, { weightInitializer: nn.normal(0, 0.125) });
 * const model = nn.sequential(tokens, nn.transformerBlock(64, 4), nn.layerNorm(64), tokens.attend);
 * ```
 */
export function embedding(
  vocabulary: number,
  dim: number,
  options: EmbeddingLayerOptions = {},
): EmbeddingLayer {
  const { paddingIndex, weightInitializer = normal() } = checkOptions(
    "embedding()",
    options,
    EMBEDDING_LAYER_OPTIONS,
    "{ paddingIndex: 0 }",
  );
  const name = `embedding(${vocabulary}, ${dim})`;
  requireSize(name, "the vocabulary", vocabulary);
  requireSize(name, "the dimension", dim);
  requirePaddingIndex(name, vocabulary, paddingIndex);
  const initializer = withZeroRow(weightInitializer, paddingIndex);
  // The weights that this layer has taken, in whatever trace and scope.
  const weights = new WeakSet<Value>();
  const embed = layer((indices, scope) => {
    const weight = scope.parameter("weight", [vocabulary, dim], initializer);
    weights.add(weight);
    return embeddingOf(weight, indices, { paddingIndex });
  }, name);
  const attend = layer((x, scope) => {
    const place = placeOf(`${name}.attend`, scope);
    if (x.shape.length < 2 || x.shape.at(-1) !== dim) {
      throw new TypeError(
        `${place}: takes [batch, …, ${dim}], found ${
          formatShape(x.shape)
        }; change the embedding's dimension, or ` +
          "what is before it",
      );
    }
    return matmul(x, tiedWeight(place, scope, weights), { transposeB: true });
  }, `${name}.attend`);
  return Object.assign(embed, { attend });
}

/** The one weight of the model that is among `weights`. */
function tiedWeight(place: string, scope: Scope, weights: WeakSet<Value>): Value {
  const found = scope.parameters.filter(({ value }) => weights.has(value));
  const [first] = found;
  if (first === undefined) {
    throw new TypeError(`${place}: the model has not called this embedding before; call it first`);
  }
  if (found.length === 1) return first.value;
  throw new TypeError(
    `${place}: the embedding has several weights, ${
      found.map((each) => `"${each.name}"`).join(" and ")
    }, since it ` +
      "was called in several scopes; call it in one, or make an embedding for each",
  );
}

function requirePaddingIndex(name: string, vocabulary: number, paddingIndex: number | undefined): void {
  if (paddingIndex === undefined) return;
  if (Number.isInteger(paddingIndex) && paddingIndex >= 0 && paddingIndex < vocabulary) return;
  throw new RangeError(
    `${name}: paddingIndex is a whole number from 0 to ${vocabulary - 1}, found ${paddingIndex}`,
  );
}

/** `initializer` with zeros in one row. */
function withZeroRow(initializer: Initializer, row: number | undefined): Initializer {
  if (row === undefined) return initializer;
  return (shape, stream) => {
    const [rows = 0] = shape;
    const isRow = HostTensor.from(Uint32Array.from({ length: rows }, (_, at) => at === row ? 1 : 0), [
      rows,
      1,
    ]);
    return where(constant(isRow), 0, initializer(shape, stream));
  };
}
