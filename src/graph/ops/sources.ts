import { type DType, requireDType } from "../../base/dtype.ts";
import type { ComputeDType } from "../../kernels/elementwise/expression.ts";
import type { HostTensor } from "../../tensor/host_tensor.ts";
import { type Shape, validateShape } from "../../tensor/shape.ts";
import { createValue } from "../create_value.ts";
import type { OpDefinition } from "../op.ts";
import type { Value } from "../value.ts";

// What a program begins with.

/** Attributes of `input` and `parameter`. */
export type NamedAttributes = { readonly name: string };

/** A tensor that every run is given under `name`. */
export function input(name: string, dtype: DType, shape: Shape): Value<NamedAttributes> {
  return named(inputOp, name, dtype, shape);
}

/** The tensor that a run is given. */
export const inputOp: OpDefinition<NamedAttributes> = { name: "input", lowering: { kind: "source" } };

/** A tensor that lives in a store; `Program.parameters(name)` says where. */
export function parameter(name: string, dtype: DType, shape: Shape): Value<NamedAttributes> {
  return named(parameterOp, name, dtype, shape);
}

/** The tensor in a store. */
export const parameterOp: OpDefinition<NamedAttributes> = { name: "parameter", lowering: { kind: "source" } };

/** Attributes of `constant`: a tensor that is uploaded once, when a program is compiled. */
export type ConstantAttributes = { readonly tensor: HostTensor };

/** A tensor that never changes. */
export const constantOp: OpDefinition<ConstantAttributes> = {
  name: "constant",
  lowering: { kind: "source" },
};

/** Attributes of `number`: a constant of shape `[]`. */
export type NumberAttributes = { readonly value: number };

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

/**
 * A fixed tensor. A number has shape `[]` and becomes a literal of the kernels that use it; its dtype is `f32` unless
 * said otherwise. A `HostTensor` is uploaded once, when a program that contains it is compiled.
 */
export function constant(value: number | HostTensor, dtype?: "f32" | "i32" | "u32"): Value {
  if (typeof value !== "number") {
    if (dtype !== undefined && dtype !== value.dtype) {
      throw new TypeError(
        `constant: the tensor has dtype ${value.dtype}, not ${dtype}; convert it with cast()`,
      );
    }
    requireDeviceDType("constant", value.dtype);
    return createValue(constantOp, [], { tensor: value }, value.dtype, value.shape);
  }
  const numberDType = dtype ?? "f32";
  requireDeviceDType("constant", numberDType);
  if (numberDType !== "f32" && !isInRange(value, numberDType)) {
    throw new RangeError(`constant: ${value} is no ${numberDType}`);
  }
  return createValue(numberOp, [], { value }, numberDType, []);
}

/** Attributes of `stepScalar`. */
export type StepScalarAttributes = { readonly index: number };

/** `values[index]` of the step's scalars (a learning rate, for example): `f32`, shape `[]`, given anew to every run. */
export function stepScalar(index: number): Value<StepScalarAttributes> {
  if (!Number.isInteger(index) || index < 0 || index > 15) {
    throw new RangeError(`stepScalar: the index is a whole number from 0 to 15, not ${index}`);
  }
  return createValue(stepScalarOp, [], { index }, "f32", []);
}

/** A number of the step: a field of the uniform. */
export const stepScalarOp: OpDefinition<StepScalarAttributes> = {
  name: "stepScalar",
  lowering: {
    kind: "elementwise",
    cost: "free",
    expression: (value) => ({ kind: "scalar", index: value.attributes.index }),
  },
};

function named(
  op: OpDefinition<NamedAttributes>,
  name: string,
  dtype: DType,
  shape: Shape,
): Value<NamedAttributes> {
  if (name === "") throw new TypeError(`${op.name}: the name is empty`);
  validateShape(shape, `${op.name} "${name}"`);
  requireDeviceDType(`${op.name} "${name}"`, dtype);
  return createValue(op, [], { name }, dtype, shape);
}

function requireDeviceDType(what: string, dtype: DType): void {
  requireDType(dtype);
  switch (dtype) {
    case "f32":
    case "i32":
    case "u32":
    case "f16":
    case "bf16":
    case "u8":
    case "bool":
      return;
    default:
      throw new TypeError(
        `${what}: dtype ${dtype} stays on the host; the GPU takes f32, i32, u32, f16, bf16, u8 and bool, ` +
          "so convert it first",
      );
  }
}

function isInRange(value: number, dtype: "i32" | "u32"): boolean {
  return dtype === "i32" ? value === (value | 0) : value === value >>> 0;
}
