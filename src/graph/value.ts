import { type DType, requireDType } from "../base/dtype.ts";
import type { HostTensor } from "../tensor/host_tensor.ts";
import { elementCount, type Shape, validateShape } from "../tensor/shape.ts";

/** What an op knows besides its inputs. Plain readonly values. */
export type Attributes = Readonly<Record<string, unknown>>;

/**
 * A tensor that does not exist yet: the result of an op on other values. Immutable; nothing is computed and no
 * memory is held until a program that contains it is compiled and run.
 */
export interface Value<A extends Attributes = Attributes> {
  /** Larger than the id of every input, so that ids in ascending order are an order of execution. */
  readonly id: number;
  /** Name of the op in the op table. */
  readonly op: string;
  readonly inputs: readonly Value[];
  readonly attributes: A;
  readonly dtype: DType;
  readonly shape: Shape;
}

/** Attributes of `input` and `parameter`. */
export type NamedAttributes = { readonly name: string };

/** Attributes of `number`: a constant of shape `[]`. */
export type NumberAttributes = { readonly value: number };

/** Attributes of `constant`: a tensor that is uploaded once, when a program is compiled. */
export type ConstantAttributes = { readonly tensor: HostTensor };

/** Attributes of `stepScalar`. */
export type StepScalarAttributes = { readonly index: number };

let lastId = 0;

/** A new value. For ops; a model calls the functions of `graph/ops/`. */
export function createValue<A extends Attributes>(
  op: string,
  inputs: readonly Value[],
  attributes: A,
  dtype: DType,
  shape: Shape,
): Value<A> {
  lastId += 1;
  return Object.freeze({
    id: lastId,
    op,
    inputs: Object.freeze([...inputs]),
    attributes: Object.freeze({ ...attributes }),
    dtype,
    shape: Object.freeze([...shape]),
  });
}

/** A tensor that every run is given under `name`. */
export function input(name: string, dtype: DType, shape: Shape): Value<NamedAttributes> {
  return named("input", name, dtype, shape);
}

/** A tensor that lives in a store; `Program.parameters(name)` says where. */
export function parameter(name: string, dtype: DType, shape: Shape): Value<NamedAttributes> {
  return named("parameter", name, dtype, shape);
}

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
    return createValue<ConstantAttributes>("constant", [], { tensor: value }, value.dtype, value.shape);
  }
  const numberDType = dtype ?? "f32";
  requireDeviceDType("constant", numberDType);
  if (numberDType !== "f32" && !isInRange(value, numberDType)) {
    throw new RangeError(`constant: ${value} is no ${numberDType}`);
  }
  return createValue<NumberAttributes>("number", [], { value }, numberDType, []);
}

/** `values[index]` of the step's scalars (a learning rate, for example): `f32`, shape `[]`, given anew to every run. */
export function stepScalar(index: number): Value<StepScalarAttributes> {
  if (!Number.isInteger(index) || index < 0 || index > 15) {
    throw new RangeError(`stepScalar: the index is a whole number from 0 to 15, not ${index}`);
  }
  return createValue("stepScalar", [], { index }, "f32", []);
}

/** What messages and plans call `value`: its op, with the name that the user gave it, if any. */
export function labelOf(value: Value): string {
  const { name } = value.attributes;
  return typeof name === "string" ? `${value.op} "${name}"` : value.op;
}

/** How many elements `value` has. */
export function sizeOf(value: Value): number {
  return elementCount(value.shape);
}

/** The values that `roots` are computed from, with the roots, in order of execution. */
export function reachable(roots: Iterable<Value>): Value[] {
  const found = new Set<Value>();
  const waiting = [...roots];
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    if (found.has(value)) continue;
    found.add(value);
    waiting.push(...value.inputs);
  }
  return [...found].sort((a, b) => a.id - b.id);
}

function named(op: string, name: string, dtype: DType, shape: Shape): Value<NamedAttributes> {
  if (name === "") throw new TypeError(`${op}: the name is empty`);
  validateShape(shape, `${op} "${name}"`);
  requireDeviceDType(`${op} "${name}"`, dtype);
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
