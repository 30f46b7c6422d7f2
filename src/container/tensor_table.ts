import { type DType, DTYPES } from "../base/dtype.ts";
import { CairnError } from "../base/errors.ts";
import { readU64, viewOf, writeU64 } from "../base/little_endian.ts";
import { layoutTensors, MAX_RANK, type RawLayout, type TensorRecord, type TensorSpec } from "./layout.ts";

const NO_ALIAS = 0xffff_ffff;
const FIXED_BYTES = 8;

const DTYPE_BY_ID: ReadonlyMap<number, DType> = new Map(
  (Object.keys(DTYPES) as DType[]).map((dtype) => [DTYPES[dtype].id, dtype]),
);

/** The dtype with this number in a file, or `undefined` for one that this version does not know. */
export function dtypeById(id: number): DType | undefined {
  return DTYPE_BY_ID.get(id);
}

/** Where each column of the table starts, for `count` tensors with `dimensions` sizes in all. */
function columns(count: number, dimensions: number): {
  rawOffset: number;
  byteLength: number;
  sizes: number;
  alias: number;
  nameLength: number;
  dtype: number;
  rank: number;
  names: number;
} {
  const byteLength = FIXED_BYTES + 8 * count;
  const sizes = byteLength + 8 * count;
  const alias = sizes + 8 * dimensions;
  const nameLength = alias + 4 * count;
  const dtype = nameLength + 2 * count;
  const rank = dtype + count;
  return { rawOffset: FIXED_BYTES, byteLength, sizes, alias, nameLength, dtype, rank, names: rank + count };
}

/** The tensor table of a layout: a structure of arrays, see FORMAT.md. */
export function encodeTensorTable(tensors: readonly TensorRecord[]): Uint8Array {
  const encoder = new TextEncoder();
  const names = tensors.map((tensor) => encoder.encode(tensor.name));
  const dimensions = tensors.reduce((sum, tensor) => sum + tensor.shape.length, 0);
  const nameBytes = names.reduce((sum, name) => sum + name.byteLength, 0);
  const column = columns(tensors.length, dimensions);
  const bytes = new Uint8Array(column.names + nameBytes);
  const view = viewOf(bytes);
  const indexByName = new Map(tensors.map((tensor, index) => [tensor.name, index]));

  view.setUint32(0, dimensions, true);
  view.setUint32(4, nameBytes, true);
  let sizeAt = column.sizes;
  let nameAt = column.names;
  for (const [index, tensor] of tensors.entries()) {
    const name = names[index] as Uint8Array;
    const alias = tensor.aliasOf === undefined ? undefined : indexByName.get(tensor.aliasOf);
    writeU64(view, column.rawOffset + 8 * index, tensor.rawOffset);
    writeU64(view, column.byteLength + 8 * index, tensor.byteLength);
    view.setUint32(column.alias + 4 * index, alias ?? NO_ALIAS, true);
    view.setUint16(column.nameLength + 2 * index, name.byteLength, true);
    view.setUint8(column.dtype + index, DTYPES[tensor.dtype].id);
    view.setUint8(column.rank + index, tensor.shape.length);
    for (const size of tensor.shape) {
      writeU64(view, sizeAt, size);
      sizeAt += 8;
    }
    bytes.set(name, nameAt);
    nameAt += name.byteLength;
  }
  return bytes;
}

/**
 * Reads a tensor table of `count` tensors. Their names, shapes and aliases have to follow the rules of
 * `layoutTensors`, and their places have to be the ones that it gives them. Throws
 * `CairnError("invalid_container")`, or `"unsupported"` for an unknown dtype.
 */
export function parseTensorTable(bytes: Uint8Array, count: number): RawLayout {
  const specs = parseSpecs(bytes, count);
  let layout: RawLayout;
  try {
    layout = layoutTensors(specs);
  } catch (cause) {
    if (cause instanceof TypeError || cause instanceof RangeError) throw invalid(cause.message, cause);
    throw cause;
  }
  const view = viewOf(bytes);
  for (const [index, tensor] of layout.tensors.entries()) {
    const rawOffset = readU64(view, FIXED_BYTES + 8 * index);
    const byteLength = readU64(view, FIXED_BYTES + 8 * (count + index));
    if (rawOffset !== tensor.rawOffset || byteLength !== tensor.byteLength) {
      throw invalid(
        `"${tensor.name}" is said to be ${byteLength} bytes at ${rawOffset}, expected ${tensor.byteLength} at ${tensor.rawOffset}`,
      );
    }
  }
  return layout;
}

function parseSpecs(bytes: Uint8Array, count: number): TensorSpec[] {
  if (bytes.byteLength < FIXED_BYTES) throw invalid(`it has ${bytes.byteLength} bytes`);
  const view = viewOf(bytes);
  const dimensions = view.getUint32(0, true);
  const nameBytes = view.getUint32(4, true);
  const column = columns(count, dimensions);
  if (column.names + nameBytes !== bytes.byteLength) {
    throw invalid(`it has ${bytes.byteLength} bytes; ${count} tensors take ${column.names + nameBytes}`);
  }
  const names = decodeNames(bytes, count, column.nameLength, column.names);
  const specs: TensorSpec[] = [];
  let sizeAt = column.sizes;
  for (let index = 0; index < count; index++) {
    const name = names[index] as string;
    const dtype = dtypeById(view.getUint8(column.dtype + index));
    if (dtype === undefined) {
      const id = view.getUint8(column.dtype + index);
      throw new CairnError(
        "unsupported",
        `Tensor "${name}" has the dtype number ${id}, which this reader does not know`,
      );
    }
    const rank = view.getUint8(column.rank + index);
    if (rank > MAX_RANK || sizeAt + 8 * rank > column.alias) {
      throw invalid(`"${name}" has ${rank} dimensions`);
    }
    const shape: number[] = [];
    for (let axis = 0; axis < rank; axis++, sizeAt += 8) shape.push(readU64(view, sizeAt));
    const alias = view.getUint32(column.alias + 4 * index, true);
    specs.push(
      alias === NO_ALIAS
        ? { name, dtype, shape }
        : { name, dtype, shape, aliasOf: aliasName(specs, alias, name) },
    );
  }
  if (sizeAt !== column.alias) throw invalid("it has more dimensions than its tensors");
  return specs;
}

/** The name of the tensor that `name` shares bytes with: an earlier one that has bytes of its own. */
function aliasName(earlier: readonly TensorSpec[], alias: number, name: string): string {
  const target = earlier[alias];
  if (target === undefined || target.aliasOf !== undefined) {
    throw invalid(
      `"${name}" is an alias of tensor ${alias}, which is no earlier tensor with bytes of its own`,
    );
  }
  return target.name;
}

function decodeNames(bytes: Uint8Array, count: number, lengthsAt: number, namesAt: number): string[] {
  const view = viewOf(bytes);
  const text = decodeUtf8(bytes.subarray(namesAt));
  // One call for all the names takes a tenth of the time, but only where each byte is a character is it clear
  // which is whose.
  const isAscii = text.length === bytes.byteLength - namesAt;
  const names: string[] = [];
  let at = namesAt;
  for (let index = 0; index < count; index++) {
    const end = at + view.getUint16(lengthsAt + 2 * index, true);
    names.push(isAscii ? text.slice(at - namesAt, end - namesAt) : decodeUtf8(bytes.subarray(at, end)));
    at = end;
  }
  if (at !== bytes.byteLength) throw invalid("its name lengths do not sum up to its name bytes");
  return names;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    // Keeps a byte-order mark, so that it is seen and refused.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw invalid("a name is no UTF-8", cause);
  }
}

function invalid(problem: string, cause?: unknown): CairnError {
  return new CairnError("invalid_container", `The tensor table is not valid: ${problem}`, { cause });
}
