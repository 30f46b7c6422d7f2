import type { OpDefinition } from "./op.ts";
import { argmaxOp } from "./ops/argmax.ts";
import { arithmeticOps } from "./ops/arithmetic.ts";
import { castOp } from "./ops/cast.ts";
import { comparisonOps } from "./ops/comparison.ts";
import { customOpDefinition } from "./ops/custom.ts";
import { matmulOp } from "./ops/matmul.ts";
import { piecewiseOps } from "./ops/piecewise.ts";
import { randomNormalOp, randomUniformOp } from "./ops/random.ts";
import { maxOp, meanOp, minOp } from "./ops/reduce.ts";
import { constantOp, inputOp, numberOp, parameterOp, stepScalarOp } from "./ops/sources.ts";
import {
  crossEntropyGradientOp,
  crossEntropyProbabilitiesOp,
  softmaxCrossEntropyOp,
} from "./ops/softmax_cross_entropy.ts";
import { broadcastToOp, sumOp } from "./ops/sum.ts";
import { transcendentalOps } from "./ops/transcendental.ts";
import { reshapeOp, stopGradientOp, transposeOp } from "./ops/views.ts";
import type { Value } from "./value.ts";

/** Every op there is. */
export const OPS: readonly OpDefinition[] = [
  inputOp,
  parameterOp,
  constantOp,
  numberOp,
  stepScalarOp,
  reshapeOp,
  stopGradientOp,
  transposeOp,
  sumOp,
  broadcastToOp,
  meanOp,
  maxOp,
  minOp,
  argmaxOp,
  castOp,
  ...arithmeticOps,
  ...comparisonOps,
  ...piecewiseOps,
  ...transcendentalOps,
  matmulOp,
  softmaxCrossEntropyOp,
  crossEntropyProbabilitiesOp,
  crossEntropyGradientOp,
  randomUniformOp,
  randomNormalOp,
  customOpDefinition,
];

const BY_NAME: ReadonlyMap<string, OpDefinition> = new Map(OPS.map((op) => [op.name, op]));

/** The definition of the op that `value` is a result of. */
export function definitionOf(value: Value): OpDefinition {
  const definition = BY_NAME.get(value.op);
  if (definition === undefined) throw new TypeError(`There is no op "${value.op}" in the op table`);
  return definition;
}
