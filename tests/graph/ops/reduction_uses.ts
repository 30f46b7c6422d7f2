import type { ReductionOptions } from "../../../src/graph/ops/reduction_axes.ts";
import type { Value } from "../../../src/graph/value.ts";
import type { OpUse } from "./op_twin.ts";

/** Reduces over some axes of a value, or over all. */
export function overAxes(op: (a: Value, options: ReductionOptions) => Value, takesEmpty: boolean): OpUse {
  return (maker) => {
    const { random } = maker;
    const value = takesEmpty ? maker.f32() : maker.notEmpty();
    const axes = [...value.shape.keys()].filter(() => random.chance(0.5));
    return op(value, { ...random.chance(0.7) ? { axes } : {}, keepDims: random.chance(0.3) });
  };
}

/** Goes along one axis of a value with elements. */
export function alongAxis(op: (a: Value, options: { axis: number }) => Value): OpUse {
  return (maker) => {
    const value = maker.notEmpty();
    return op(value, { axis: maker.random.below(value.shape.length) });
  };
}
