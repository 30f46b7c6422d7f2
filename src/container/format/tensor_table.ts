import { DTYPES } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import { readU64, viewOf, writeU64 } from "../../base/little_endian.ts";
import { dtypeById } from "./dtype_id.ts";
import type { TensorRecord } from "./layout.ts";
import { invalid, NO_ALIAS, TensorColumns } from "./tensor_columns.ts";
import { decodeNames } from "./tensor_name.ts";

const FIXED_BYTES = 8;

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
 * `layoutTensors`, and their places have to be the ones that it gives them. Nothing is made for a single tensor:
 * see {@link TensorColumns}. Throws `CairnError("invalid_container")`, or `"unsupported"` for an unknown dtype.
 */
export function parseTensorTable(bytes: Uint8Array, count: number): TensorColumns {
  if (bytes.byteLength < FIXED_BYTES) throw invalid(`it has ${bytes.byteLength} bytes`);
  const view = viewOf(bytes);
  const dimensions = view.getUint32(0, true);
  const nameBytes = view.getUint32(4, true);
  const column = columns(count, dimensions);
  if (column.names + nameBytes !== bytes.byteLength) {
    throw invalid(`it has ${bytes.byteLength} bytes; ${count} tensors take ${column.names + nameBytes}`);
  }
  const dtype = bytes.slice(column.dtype, column.rank);
  checkDTypes(dtype);
  const nameLength = new Uint16Array(count);
  for (let index = 0; index < count; index++) {
    nameLength[index] = view.getUint16(column.nameLength + 2 * index, true);
  }
  return new TensorColumns({
    rawOffset: readU64s(view, column.rawOffset, count),
    byteLength: readU64s(view, column.byteLength, count),
    sizes: readU64s(view, column.sizes, dimensions),
    alias: readU32s(view, column.alias, count),
    dtype,
    rank: bytes.slice(column.rank, column.names),
    names: decodeNames(bytes.subarray(column.names), nameLength),
  });
}

function checkDTypes(ids: Uint8Array): void {
  const index = ids.findIndex((id) => dtypeById(id) === undefined);
  if (index < 0) return;
  throw new CairnError(
    "unsupported",
    `Tensor ${index} has the dtype number ${ids[index]}, which this reader does not know`,
  );
}

function readU64s(view: DataView, at: number, count: number): Float64Array {
  const values = new Float64Array(count);
  for (let index = 0; index < count; index++) values[index] = readU64(view, at + 8 * index);
  return values;
}

function readU32s(view: DataView, at: number, count: number): Uint32Array {
  const values = new Uint32Array(count);
  for (let index = 0; index < count; index++) values[index] = view.getUint32(at + 4 * index, true);
  return values;
}
