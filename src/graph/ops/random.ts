import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { boundParts } from "../../kernels/kernel_steps.ts";
import { type Distribution, philox } from "../../kernels/random/philox.ts";
import { elementCount, type Shape, validateShape } from "../../tensor/shape.ts";
import { createValue } from "../create_value.ts";
import { memoryOf } from "../kernel_steps.ts";
import type { Binding, KernelLowering, OpDefinition } from "../op.ts";
import { sizeOf, type Value } from "../value.ts";
import { div } from "./arithmetic.ts";
import { greaterEqual, where } from "./comparison.ts";
import { FLOAT, requireDType } from "./requirements.ts";

/** Options of the random ops. */
export interface RandomOptions {
  /**
   * Which of 2^32 independent streams of numbers the op draws from. Two random ops of one program need two streams.
   * The numbers are a pure function of the run's seed, the step and this.
   */
  readonly stream: number;
  /**
   * Whether the first axis is that of the examples. Their numbers are then those of their places in the whole batch,
   * also where a step computes it in pieces, so that it does not matter how it is cut. Default false.
   */
  readonly perExample?: boolean | undefined;
}

/** Every option of {@link RandomOptions}. */
export const RANDOM_OPTIONS: OptionNames<RandomOptions> = { stream: true, perExample: true };

/** Attributes of the random ops. */
export type RandomAttributes = { readonly stream: number; readonly perExample: boolean };

/** Random numbers from [0, 1), `f32`: Philox 4x32-10 of the run's seed, the step and the stream. */
export function randomUniform(shape: Shape, options: RandomOptions): Value {
  return randomValue(randomUniformOp, shape, options);
}

/** Random numbers of mean 0 and variance 1, `f32`: the same Philox numbers through Box and Muller's transform. */
export function randomNormal(shape: Shape, options: RandomOptions): Value {
  return randomValue(randomNormalOp, shape, options);
}

/** Options of {@link dropout}. */
export interface DropoutOptions extends RandomOptions {
  /** The part of the elements that becomes 0: from 0 to below 1. */
  readonly rate: number;
  /** As of {@link RandomOptions}, but true unless it is said: the first axis is that of the examples. */
  readonly perExample?: boolean | undefined;
}

/** Every option of {@link DropoutOptions}. */
export const DROPOUT_OPTIONS: OptionNames<DropoutOptions> = { ...RANDOM_OPTIONS, rate: true };

/**
 * Zeroes each element with probability `rate`, NaN and infinities too, and divides the others by `1 - rate`, so that
 * the mean stays.
 */
export function dropout(value: Value, options: DropoutOptions): Value {
  const { rate, stream, perExample = true } = checkOptions(
    "dropout()",
    options,
    DROPOUT_OPTIONS,
    "{ rate: 0.5, stream: 0 }",
  );
  if (!(rate >= 0 && rate < 1)) throw new RangeError(`dropout: the rate is from 0 to below 1, not ${rate}`);
  requireDType("dropout", value, FLOAT);
  if (rate === 0) return value;
  const isKept = greaterEqual(randomUniform(value.shape, { stream, perExample }), rate);
  return where(isKept, div(value, 1 - rate), 0);
}

/** Has no inputs, so no gradient. */
export const randomUniformOp: OpDefinition<RandomAttributes> = {
  name: "randomUniform",
  stream: ({ attributes }) => attributes.stream,
  lowering: randomLowering("uniform"),
};

/** Has no inputs, so no gradient. */
export const randomNormalOp: OpDefinition<RandomAttributes> = {
  name: "randomNormal",
  stream: ({ attributes }) => attributes.stream,
  lowering: randomLowering("normal"),
};

function randomLowering(distribution: Distribution): KernelLowering<RandomAttributes> {
  return {
    kind: "kernel",
    steps(value, context) {
      const out = context.regionOf(value);
      const { stream, perExample } = value.attributes;
      const ofExamples = perExample ? elementCount(value.shape.slice(1)) : undefined;
      return boundParts(memoryOf(context), out, sizeOf(value)).map(({ binding, first, count }) => {
        const options = { distribution, count, first, stream, perExample: ofExamples };
        return { dispatch: philox<Binding>({ out: binding, scalars: "scalars" }, options), writes: [out] };
      });
    },
  };
}

function randomValue(op: OpDefinition<RandomAttributes>, shape: Shape, options: RandomOptions): Value {
  const { name } = op;
  const { stream, perExample = false } = checkOptions(`${name}()`, options, RANDOM_OPTIONS, "{ stream: 0 }");
  validateShape(shape, name);
  if (!Number.isInteger(stream) || stream < 0 || stream > 0xffff_ffff) {
    throw new RangeError(`${name}: the stream is a whole number from 0 to 2^32 - 1, not ${stream}`);
  }
  return createValue(op, [], { stream, perExample: perExample && shape.length > 0 }, "f32", shape);
}
