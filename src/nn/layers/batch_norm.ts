import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { add, div, mul } from "../../graph/ops/arithmetic.ts";
import { cast } from "../../graph/ops/cast.ts";
import { batchNorm as batchNormOf, batchStatistics } from "../../graph/ops/norm/batch_norm.ts";
import { sizeOf, type Value } from "../../graph/value.ts";
import { formatShape } from "../../tensor/shape.ts";
import { ones, zeros } from "../initializers.ts";
import { type Layer, layer } from "../layer.ts";
import type { Scope } from "../scope.ts";
import { placeOf, requireSize } from "./require_input.ts";

/** Options of {@link batchNorm}. */
export interface BatchNormOptions {
  /** Added to the variance. Default 1e-5. */
  readonly epsilon?: number | undefined;
  /**
   * The share that a batch has in the running statistics, which are `(1 - momentum) * before + momentum * batch`.
   * Default 0.1. `null` is the mean of all batches since the beginning; then their number is kept as
   * `num_batches_tracked`.
   */
  readonly momentum?: number | null | undefined;
  /** Whether each channel is multiplied by a weight and a bias is added. Default true. */
  readonly affine?: boolean | undefined;
}

/** Every option of {@link BatchNormOptions}. */
export const BATCH_NORM_OPTIONS: OptionNames<BatchNormOptions> = {
  epsilon: true,
  momentum: true,
  affine: true,
};

/**
 * Shifts and scales each channel of `[batch, features]` or `[batch, channels, …]` to mean 0 and variance 1 over all
 * other axes, then by `weight` and `bias` `[channels]` (Ioffe and Szegedy 2015). In training by the statistics of the
 * batch; in evaluation and prediction by the running ones, which each step of training moves: the buffers
 * `running_mean` and `running_var`, the latter of the unbiased variance, as in PyTorch, whose names, defaults and
 * meanings these are.
 *
 * Where a step computes its batch in pieces (`microBatchSize`), the statistics are those of a piece, and each piece in
 * turn moves the running ones, as in PyTorch. A batch of one element a channel is refused in training, as it has no
 * variance.
 *
 * @example
 * ```ts
 * const block = nn.sequential(nn.conv2d(1, 16, 3, { bias: false }), nn.batchNorm(16), nn.relu());
 * ```
 */
export function batchNorm(channels: number, options: BatchNormOptions = {}): Layer {
  const { epsilon = 1e-5, momentum = 0.1, affine = true } = checkOptions(
    "batchNorm()",
    options,
    BATCH_NORM_OPTIONS,
    "{ momentum: 0.1 }",
  );
  const name = `batchNorm(${requireSize("batchNorm", "the number of channels", channels)})`;
  if (momentum !== null && !(momentum >= 0 && momentum <= 1)) {
    throw new RangeError(`${name}: momentum is a number from 0 to 1, or null, found ${momentum}`);
  }
  return layer((x, scope) => {
    if (x.shape.length < 2 || x.shape[1] !== channels) {
      const place = placeOf(name, scope);
      throw new TypeError(`${place}: takes [batch, ${channels}, …], found ${formatShape(x.shape)}`);
    }
    const shape = [channels];
    const weight = affine ? scope.parameter("weight", shape, ones()) : undefined;
    const bias = affine ? scope.parameter("bias", shape, zeros()) : undefined;
    const running = {
      mean: scope.buffer("running_mean", shape),
      variance: scope.buffer("running_var", shape, { initial: ones() }),
    };
    const share = shareOf(momentum, scope);
    if (!scope.isTraining) return batchNormOf(x, { statistics: running, weight, bias, epsilon });
    const count = sizeOf(x) / channels;
    if (count === 1) {
      throw new TypeError(
        `${placeOf(name, scope)}: one element a channel has no variance, found ${
          formatShape(x.shape)
        } in training; use ` +
          "larger batches, and dropLast where the last one has one example",
      );
    }
    const statistics = batchStatistics(x);
    const unbiased = mul(statistics.variance, count / (count - 1));
    scope.updateBuffer("running_mean", moved(running.mean, statistics.mean, share));
    scope.updateBuffer("running_var", moved(running.variance, unbiased, share));
    return batchNormOf(x, { statistics, weight, bias, epsilon });
  }, name);
}

/** The share of a batch in the running statistics. */
function shareOf(momentum: number | null, scope: Scope): number | Value {
  if (momentum !== null) return momentum;
  const tracked = add(scope.buffer("num_batches_tracked", [], { dtype: "u32" }), 1);
  scope.updateBuffer("num_batches_tracked", tracked);
  return div(1, cast(tracked, "f32"));
}

function moved(before: Value, batch: Value, share: number | Value): Value {
  const kept = typeof share === "number" ? 1 - share : add(mul(share, -1), 1);
  return add(mul(before, kept), mul(batch, share));
}
