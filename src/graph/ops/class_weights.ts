import { classWeights as launchClassWeights } from "../../kernels/loss/class_weights.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { createValue } from "../create_value.ts";
import { type Binding, item, type OpDefinition } from "../op.ts";
import { sizeOf, type Value } from "../value.ts";
import { requireDType } from "./requirements.ts";
import { constant } from "./sources.ts";

/** The weights of `classes` classes, f32; RangeError for another number of them, and for one below 0. */
export function classWeightsTensor(what: string, weights: ArrayLike<number>, classes: number): HostTensor {
  const found = Float32Array.from(weights);
  if (found.length !== classes) {
    throw new RangeError(`${what}: there are weights of ${found.length} classes, and logits of ${classes}`);
  }
  const wrong = found.find((weight) => !(Number.isFinite(weight) && weight >= 0));
  if (wrong === undefined) return HostTensor.from(found, [classes]);
  throw new RangeError(`${what}: the weight of a class is a number from 0, found ${wrong}`);
}

/** The weight of each label's class, `f32` of the labels' shape; `labels` are u32. NaN for a label that is no class. */
export function weightsOfLabels(weights: HostTensor | Value, labels: Value): Value {
  requireDType("classWeights", labels, ["u32"]);
  const table = weights instanceof HostTensor ? constant(weights) : weights;
  return createValue(classWeightsOp, [table, labels], {}, "f32", labels.shape);
}

/** Weights are no parameters: no gradient flows. */
export const classWeightsOp: OpDefinition = {
  name: "classWeights",
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const [weights, labels] = [item(value.inputs, 0), item(value.inputs, 1)];
      const out = context.regionOf(value);
      const bindings = { weights: context.regionOf(weights), labels: context.regionOf(labels), out };
      const dispatch = launchClassWeights<Binding>(bindings, {
        rows: sizeOf(labels),
        classes: sizeOf(weights),
      });
      return [{ dispatch, writes: [out] }];
    },
  },
};
