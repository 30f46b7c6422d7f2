import type { ComputeDType } from "../../kernels/elementwise/expression.ts";
import type { OpDefinition } from "../op.ts";
import type { NumberAttributes, StepScalarAttributes } from "../value.ts";

// What a program begins with. The constructors are in value.ts.

/** The tensor that a run is given. */
export const inputOp: OpDefinition = { name: "input", lowering: { kind: "source" } };

/** The tensor in a store. */
export const parameterOp: OpDefinition = { name: "parameter", lowering: { kind: "source" } };

/** A tensor that never changes. */
export const constantOp: OpDefinition = { name: "constant", lowering: { kind: "source" } };

/** A number that never changes: a literal of the kernels that use it. */
export const numberOp: OpDefinition<NumberAttributes> = {
  name: "number",
  lowering: {
    kind: "elementwise",
    cost: "free",
    expression: (value) => ({
      kind: "constant",
      value: value.attributes.value,
      dtype: value.dtype as ComputeDType,
    }),
  },
};

/** A number of the step: a field of the uniform. */
export const stepScalarOp: OpDefinition<StepScalarAttributes> = {
  name: "stepScalar",
  lowering: {
    kind: "elementwise",
    cost: "free",
    expression: (value) => ({ kind: "scalar", index: value.attributes.index }),
  },
};
