import { checkOptions, type OptionNames } from "../base/options/options.ts";
import { add, mul } from "../graph/ops/arithmetic.ts";
import { full } from "../graph/ops/fill.ts";
import { randomNormal, randomUniform } from "../graph/ops/random.ts";
import type { Value } from "../graph/value.ts";
import type { Shape } from "../tensor/shape.ts";

/**
 * The first value of a parameter, as a graph value of that shape. It is computed on the GPU; `stream` is a
 * random stream of its own, so that with one seed every parameter begins with the same bits on every run.
 */
export type Initializer = (shape: Shape, stream: number) => Value;

/** Every element 0. */
export function zeros(): Initializer {
  return filled(0);
}

/** Every element 1. */
export function ones(): Initializer {
  return filled(1);
}

/** Every element `value`. */
export function filled(value: number): Initializer {
  return (shape) => full(shape, value);
}

/** Uniform from `low` to below `high`. */
export function uniform(low: number, high: number): Initializer {
  return (shape, stream) => add(mul(randomUniform(shape, { stream }), high - low), low);
}

/** Normal with this mean and standard deviation. */
export function normal(mean = 0, deviation = 1): Initializer {
  return (shape, stream) => add(mul(randomNormal(shape, { stream }), deviation), mean);
}

/** Which of a unit's connections count: those into it, those out of it, or the mean of both. */
export type FanMode = "fanIn" | "fanOut" | "fanAverage";

/** Options of {@link kaimingUniform} and {@link kaimingNormal}. */
export interface KaimingOptions {
  /** `"fanIn"`, the default, keeps the size of what goes forward; `"fanOut"` that of the gradients. */
  readonly mode?: FanMode | undefined;
}

/** Every option of {@link KaimingOptions}. */
export const KAIMING_OPTIONS: OptionNames<KaimingOptions> = { mode: true };

/**
 * Uniform within ± `gain * sqrt(3 / fan)` (He et al. 2015), as PyTorch's `kaiming_uniform_` and Keras' `HeUniform`. The
 * gain of ReLU is sqrt(2), the default; {@link calculateGain} has others.
 */
export function kaimingUniform(gain: number = Math.SQRT2, options: KaimingOptions = {}): Initializer {
  const mode = modeOf("kaimingUniform()", options);
  return (shape, stream) => {
    const bound = gain * Math.sqrt(3 / fanOf(shape, mode));
    return uniform(-bound, bound)(shape, stream);
  };
}

/**
 * Normal with the deviation `gain / sqrt(fan)` (He et al. 2015), as PyTorch's `kaiming_normal_`; the gain of ReLU is
 * sqrt(2), the default. Keras' `HeNormal` is truncated: {@link varianceScaling} of the scale 2.
 */
export function kaimingNormal(gain: number = Math.SQRT2, options: KaimingOptions = {}): Initializer {
  const mode = modeOf("kaimingNormal()", options);
  return (shape, stream) => normal(0, gain / Math.sqrt(fanOf(shape, mode)))(shape, stream);
}

/**
 * Uniform within ± `gain * sqrt(6 / (fanIn + fanOut))` (Glorot and Bengio 2010), as PyTorch's `xavier_uniform_` and
 * Keras' `GlorotUniform`.
 */
export function xavierUniform(gain = 1): Initializer {
  return kaimingUniform(gain, { mode: "fanAverage" });
}

/**
 * Normal with the deviation `gain * sqrt(2 / (fanIn + fanOut))` (Glorot and Bengio 2010), as PyTorch's
 * `xavier_normal_`. Keras' `GlorotNormal` is truncated: {@link varianceScaling} by `fanAverage`.
 */
export function xavierNormal(gain = 1): Initializer {
  return kaimingNormal(gain, { mode: "fanAverage" });
}

/** An activation with a gain of its own. */
export type Nonlinearity = "linear" | "sigmoid" | "tanh" | "relu" | "leakyRelu" | "selu";

/**
 * By what a layer multiplies the deviation of its weights for what goes through an activation to keep its size:
 * PyTorch's `calculate_gain`.
 *
 * @param slope Of `leakyRelu` below 0. Default 0.01.
 */
export function calculateGain(nonlinearity: Nonlinearity, slope = 0.01): number {
  const gain = {
    linear: 1,
    sigmoid: 1,
    tanh: 5 / 3,
    relu: Math.SQRT2,
    leakyRelu: Math.sqrt(2 / (1 + slope ** 2)),
    selu: 3 / 4,
  }[nonlinearity];
  if (gain !== undefined) return gain;
  throw new TypeError(
    `calculateGain(): "${nonlinearity}" is not one of linear, sigmoid, tanh, relu, leakyRelu and selu`,
  );
}

/** The fan of one unit of a weight of shape `[out, in, …]`; what follows counts as a receptive field. */
export function fanOf(shape: Shape, mode: FanMode): number {
  const [out, input, ...field] = shape;
  if (out === undefined || input === undefined) {
    throw new TypeError(`This initializer needs a weight of shape [out, in, …], found rank ${shape.length}`);
  }
  const size = field.reduce((product, length) => product * length, 1);
  return size * { fanIn: input, fanOut: out, fanAverage: (input + out) / 2 }[mode];
}

const MODES: readonly FanMode[] = ["fanIn", "fanOut", "fanAverage"];

function modeOf(name: string, options: KaimingOptions): FanMode {
  const { mode = "fanIn" } = checkOptions(name, options, KAIMING_OPTIONS, '{ mode: "fanOut" }');
  return requireMode(name, mode);
}

/** `mode`, which is one. */
export function requireMode(name: string, mode: FanMode): FanMode {
  if (MODES.includes(mode)) return mode;
  throw new TypeError(`${name}: the mode is one of ${MODES.join(", ")}, found ${String(mode)}`);
}
