import type { OptionNames } from "../../base/options/options.ts";
import { alignUp, checkedAdd, checkedMultiply, TENSOR_ALIGNMENT } from "../../base/checked.ts";
import { byteSizeOf, type DType, DTYPES } from "../../base/dtype.ts";
import { problemOfName } from "./tensor_name.ts";

/** The most dimensions a tensor may have. */
export const MAX_RANK = 8;

/** A tensor to be: what a caller says about it. */
export interface TensorSpec {
  /** At most 1024 bytes of UTF-8; a container has each name once. */
  readonly name: string;
  /** The dtype of its elements. */
  readonly dtype: DType;
  /** Sizes of the dimensions, outermost first. `[]` is a scalar; a 0 makes a tensor without elements. */
  readonly shape: readonly number[];
  /** Name of an earlier tensor of the same dtype and shape whose bytes this one shares (tied weights). */
  readonly aliasOf?: string | undefined;
}

/** Every option of {@link TensorSpec}. */
export const TENSOR_SPEC: OptionNames<TensorSpec> = { name: true, dtype: true, shape: true, aliasOf: true };

/** A tensor with its place in the raw space. */
export interface TensorRecord extends TensorSpec {
  /** Where its bytes start, a multiple of 256. */
  readonly rawOffset: number;
  /** Bytes of its elements, without what follows up to the next multiple of 256. */
  readonly byteLength: number;
}

/**
 * Every tensor's place in one address space of raw bytes, and the length of that space (a multiple of 256).
 */
export interface RawLayout {
  /** In the order of their specs. An alias has the place of the tensor that holds its bytes. */
  readonly tensors: readonly TensorRecord[];
  /** Bytes from the start of the first tensor to the end of the last, a multiple of 256. */
  readonly rawByteLength: number;
}

/**
 * Places tensors one after the other, each at the next multiple of 256, aliases at their target's place. An
 * alias of an alias comes out as an alias of the tensor that holds the bytes. Slabs on the GPU and containers
 * on disk both follow this one rule, so that a checkpoint is the slabs in order. Throws a `TypeError` or
 * `RangeError` that names the tensor for a bad name, dtype, shape or alias.
 */
export function layoutTensors(specs: readonly TensorSpec[]): RawLayout {
  const byName = new Map<string, TensorRecord>();
  let rawByteLength = 0;
  for (const spec of specs) {
    checkName(spec.name, byName);
    const byteLength = byteLengthOf(spec);
    if (spec.aliasOf !== undefined) {
      byName.set(spec.name, aliasRecord(spec, spec.aliasOf, byName));
      continue;
    }
    const { name, dtype } = spec;
    byName.set(name, { name, dtype, shape: [...spec.shape], rawOffset: rawByteLength, byteLength });
    const end = checkedAdd(rawByteLength, byteLength);
    checkedAdd(end, TENSOR_ALIGNMENT);
    rawByteLength = alignUp(end, TENSOR_ALIGNMENT);
  }
  return { tensors: [...byName.values()], rawByteLength };
}

function checkName(name: string, byName: ReadonlyMap<string, TensorRecord>): void {
  const problem = typeof name === "string" ? problemOfName(name) : "is not a string";
  if (problem !== undefined) {
    throw new TypeError(`Tensor name ${JSON.stringify(name).slice(0, 80)} ${problem}`);
  }
  if (byName.has(name)) throw new TypeError(`There are two tensors named "${name}"`);
}

function byteLengthOf(spec: TensorSpec): number {
  if (!Object.hasOwn(DTYPES, spec.dtype)) {
    throw new TypeError(`Tensor "${spec.name}" has the dtype ${spec.dtype}, which does not exist`);
  }
  if (spec.shape.length > MAX_RANK) {
    throw new RangeError(
      `Tensor "${spec.name}" has ${spec.shape.length} dimensions; ${MAX_RANK} is the most`,
    );
  }
  for (const size of spec.shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new RangeError(`Tensor "${spec.name}" has the shape [${spec.shape}]: ${size} is no dimension`);
    }
  }
  return byteLengthOfShape(spec.shape, spec.dtype);
}

/** Bytes of a tensor of valid sizes; a `RangeError` when any product on the way is no safe integer. */
function byteLengthOfShape(shape: readonly number[], dtype: DType): number {
  // A zero anywhere makes the tensor empty, but must not hide sizes whose product would overflow.
  let product = byteSizeOf(dtype);
  for (const size of shape) product = checkedMultiply(product, Math.max(size, 1));
  return shape.includes(0) ? 0 : product;
}

function aliasRecord(
  spec: TensorSpec,
  aliasOf: string,
  byName: ReadonlyMap<string, TensorRecord>,
): TensorRecord {
  const target = byName.get(aliasOf);
  if (target === undefined) {
    throw new TypeError(
      `Tensor "${spec.name}" is an alias of "${aliasOf}", which is not among the tensors before it`,
    );
  }
  const sameShape = target.shape.length === spec.shape.length &&
    target.shape.every((size, i) => size === spec.shape[i]);
  if (target.dtype !== spec.dtype || !sameShape) {
    throw new TypeError(
      `Tensor "${spec.name}" (${spec.dtype} [${spec.shape}]) cannot be an alias of "${aliasOf}" (${target.dtype} [${target.shape}])`,
    );
  }
  return { ...target, name: spec.name, aliasOf: target.aliasOf ?? target.name };
}
