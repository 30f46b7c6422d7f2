import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { add } from "../../graph/ops/arithmetic.ts";
import { matmul } from "../../graph/ops/matmul.ts";
import { reshape } from "../../graph/ops/views.ts";
import { formatShape } from "../../tensor/shape.ts";
import { type Initializer, uniform } from "../initializers.ts";
import { type Layer, layer } from "../layer.ts";
import { placeOf } from "./require_input.ts";

/** Options of {@link linear}. */
export interface LinearOptions {
  /** Whether there is a bias. Default true. */
  readonly bias?: boolean;
  /** Default: uniform within ± 1 / sqrt(inputs), as in PyTorch. */
  readonly weightInitializer?: Initializer;
  /** Default: uniform within ± 1 / sqrt(inputs), as in PyTorch. */
  readonly biasInitializer?: Initializer;
}

/** Every option of {@link LinearOptions}. */
export const LINEAR_OPTIONS: OptionNames<LinearOptions> = {
  bias: true,
  weightInitializer: true,
  biasInitializer: true,
};

/**
 * `y = x Wᵀ + b` over the last axis: `[…, inputs]` to `[…, outputs]`. Parameters `weight` `[outputs, inputs]`
 * and `bias` `[outputs]`, as in PyTorch. A `TypeError` when the last axis of `x` has another size.
 */
export function linear(inputs: number, outputs: number, options: LinearOptions = {}): Layer {
  requireCount("inputs", inputs);
  requireCount("outputs", outputs);
  const bound = 1 / Math.sqrt(inputs);
  const {
    bias = true,
    weightInitializer = uniform(-bound, bound),
    biasInitializer = uniform(-bound, bound),
  } = checkOptions("linear()", options, LINEAR_OPTIONS);
  const name = `linear(${inputs}, ${outputs})`;
  const made = layer((x, scope) => {
    if (x.shape.length < 2 || x.shape[x.shape.length - 1] !== inputs) {
      throw new TypeError(
        `${placeOf(name, scope)}: takes [batch, …, ${inputs}], found ${formatShape(x.shape)}; ` +
          `put flatten() before it or change its number of inputs`,
      );
    }
    const weight = scope.parameter("weight", [outputs, inputs], weightInitializer);
    const product = matmul(reshape(x, [-1, inputs]), weight, { transposeB: true });
    const result = bias ? add(product, scope.parameter("bias", [outputs], biasInitializer)) : product;
    return reshape(result, [...x.shape.slice(0, -1), outputs]);
  }, name);
  sizesOf.set(made, { inputs, outputs });
  return made;
}

/** The sizes of a linear layer. */
export interface LinearSizes {
  readonly inputs: number;
  readonly outputs: number;
}

const sizesOf = new WeakMap<Layer, LinearSizes>();

/** The sizes of `layer`, if {@link linear} made it. */
export function linearSizes(layer: Layer): LinearSizes | undefined {
  return sizesOf.get(layer);
}

function requireCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new RangeError(`linear: the number of ${name} is an integer from 1, found ${value}`);
  }
}
