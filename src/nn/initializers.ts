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

/** Uniform within ± `gain * sqrt(3 / fanIn)` (He et al. 2015); the gain of ReLU is sqrt(2), the default. */
export function kaimingUniform(gain: number = Math.SQRT2): Initializer {
  return (shape, stream) => {
    const bound = gain * Math.sqrt(3 / fansOf(shape).fanIn);
    return uniform(-bound, bound)(shape, stream);
  };
}

/**
 * Normal with the deviation `gain / sqrt(fanIn)` (He et al. 2015); the gain of ReLU is sqrt(2), the default.
 */
export function kaimingNormal(gain: number = Math.SQRT2): Initializer {
  return (shape, stream) => normal(0, gain / Math.sqrt(fansOf(shape).fanIn))(shape, stream);
}

/** Uniform within ± `gain * sqrt(6 / (fanIn + fanOut))` (Glorot and Bengio 2010). */
export function xavierUniform(gain = 1): Initializer {
  return (shape, stream) => {
    const { fanIn, fanOut } = fansOf(shape);
    const bound = gain * Math.sqrt(6 / (fanIn + fanOut));
    return uniform(-bound, bound)(shape, stream);
  };
}

/** Normal with the deviation `gain * sqrt(2 / (fanIn + fanOut))` (Glorot and Bengio 2010). */
export function xavierNormal(gain = 1): Initializer {
  return (shape, stream) => {
    const { fanIn, fanOut } = fansOf(shape);
    return normal(0, gain * Math.sqrt(2 / (fanIn + fanOut)))(shape, stream);
  };
}

/**
 * Inputs and outputs of one unit of a weight of shape `[out, in, …]`; what follows counts as a receptive
 * field.
 */
function fansOf(shape: Shape): { fanIn: number; fanOut: number } {
  const [out, input, ...field] = shape;
  if (out === undefined || input === undefined) {
    throw new TypeError(`This initializer needs a weight of shape [out, in, …], found rank ${shape.length}`);
  }
  const size = field.reduce((product, length) => product * length, 1);
  return { fanIn: input * size, fanOut: out * size };
}
