import { alignUp, TENSOR_ALIGNMENT } from "../../base/checked.ts";
import { byteSizeOf, type DType } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import { dtypeById } from "./dtype_id.ts";
import { MAX_RANK, type RawLayout, type TensorRecord } from "./layout.ts";

/** What stands in the alias column for a tensor that has bytes of its own. */
export const NO_ALIAS = 0xffff_ffff;

/** The columns of a tensor table, whose lengths fit each other and whose dtypes are known. */
interface Columns {
  readonly rawOffset: Float64Array;
  readonly byteLength: Float64Array;
  /** Sizes of the dimensions of all tensors, one tensor after the other. */
  readonly sizes: Float64Array;
  readonly alias: Uint32Array;
  readonly dtype: Uint8Array;
  readonly rank: Uint8Array;
  readonly names: readonly string[];
}

/**
 * The tensors of a file, kept as the columns in which they stand there. Checking ten thousand of them takes a
 * millisecond; their records are made on demand.
 */
export class TensorColumns implements RawLayout {
  readonly rawByteLength: number;
  readonly count: number;
  readonly #columns: Columns;
  /** Where each tensor's sizes start. */
  readonly #firstSize: Uint32Array;
  #indexByName: Map<string, number> | undefined;
  readonly #records: (TensorRecord | undefined)[] = [];
  #all: readonly TensorRecord[] | undefined;

  /**
   * Checks all that FORMAT.md says of a tensor table but the names.
   * @throws CairnError `invalid_container`.
   */
  constructor(columns: Columns) {
    this.#columns = columns;
    this.count = columns.names.length;
    this.#firstSize = firstSizes(columns);
    this.rawByteLength = checkPlaces(columns, this.#firstSize);
  }

  /** All of them in the order of the raw space. */
  get tensors(): readonly TensorRecord[] {
    if (this.#all === undefined) {
      const all: TensorRecord[] = [];
      for (let index = 0; index < this.count; index++) all.push(this.record(index));
      this.#all = all;
    }
    return this.#all;
  }

  /** Position of the tensor of this name, or `undefined` where there is none. */
  indexOf(name: string): number | undefined {
    if (this.#indexByName === undefined) {
      this.#indexByName = new Map();
      for (let index = 0; index < this.count; index++) {
        this.#indexByName.set(this.#columns.names[index] as string, index);
      }
    }
    return this.#indexByName.get(name);
  }

  /** The tensor at `index`, which has to exist: the same object each time. */
  record(index: number): TensorRecord {
    return this.#records[index] ??= this.#makeRecord(index);
  }

  /**
   * Calls `visit` for each tensor that has bytes of its own, in the order of the raw space, without making records.
   */
  forEachOwner(visit: (index: number, rawOffset: number, rawEnd: number, dtype: DType) => void): void {
    const { rawOffset, byteLength, alias, dtype } = this.#columns;
    for (let index = 0; index < this.count; index++) {
      const length = at(byteLength, index);
      if (length === 0 || at(alias, index) !== NO_ALIAS) continue;
      const start = at(rawOffset, index);
      visit(index, start, start + length, dtypeById(at(dtype, index)) as DType);
    }
  }

  #makeRecord(index: number): TensorRecord {
    const { rawOffset, byteLength, sizes, alias, dtype, rank, names } = this.#columns;
    const first = at(this.#firstSize, index);
    const last = first + at(rank, index);
    const target = at(alias, index);
    const shape: number[] = [];
    for (let axis = first; axis < last; axis++) shape.push(at(sizes, axis));
    const record = {
      name: names[index] as string,
      dtype: dtypeById(at(dtype, index)) as DType,
      shape,
      rawOffset: at(rawOffset, index),
      byteLength: at(byteLength, index),
    };
    return target === NO_ALIAS ? record : { ...record, aliasOf: names[target] as string };
  }
}

function at(column: Float64Array | Uint32Array | Uint8Array, index: number): number {
  return column[index] as number;
}

function firstSizes({ rank, sizes, names }: Columns): Uint32Array {
  const first = new Uint32Array(rank.length);
  let next = 0;
  for (let index = 0; index < rank.length; index++) {
    first[index] = next;
    next += at(rank, index);
    if (at(rank, index) > MAX_RANK || next > sizes.length) {
      throw invalid(`"${names[index]}" has ${at(rank, index)} dimensions`);
    }
  }
  if (next !== sizes.length) throw invalid("it has more dimensions than its tensors");
  return first;
}

/** Checks that every tensor is where the rules of the raw space put it; gives the length of that space. */
function checkPlaces(columns: Columns, firstSize: Uint32Array): number {
  const { rawOffset, byteLength, alias, names } = columns;
  let end = 0;
  for (let index = 0; index < names.length; index++) {
    const length = lengthByShape(columns, firstSize, index);
    const target = at(alias, index);
    if (target !== NO_ALIAS) checkAlias(columns, firstSize, index);
    const start = target === NO_ALIAS ? end : at(rawOffset, target);
    if (at(rawOffset, index) !== start || at(byteLength, index) !== length) {
      throw invalid(
        `"${names[index]}" is said to be ${at(byteLength, index)} bytes at ${
          at(rawOffset, index)
        }, expected ${length} at ${start}`,
      );
    }
    if (target !== NO_ALIAS) continue;
    end += length;
    if (end + TENSOR_ALIGNMENT > Number.MAX_SAFE_INTEGER) throw invalid(`"${names[index]}" ends at ${end}`);
    end = alignUp(end, TENSOR_ALIGNMENT);
  }
  return end;
}

function lengthByShape(
  { sizes, rank, dtype, names }: Columns,
  firstSize: Uint32Array,
  index: number,
): number {
  const first = at(firstSize, index);
  const last = first + at(rank, index);
  let product = byteSizeOf(dtypeById(at(dtype, index)) as DType);
  let isEmpty = false;
  for (let axis = first; axis < last; axis++) {
    const size = at(sizes, axis);
    // A zero anywhere makes the tensor empty, but must not hide sizes whose product would overflow.
    if (size === 0) isEmpty = true;
    else product *= size;
    if (size > Number.MAX_SAFE_INTEGER || product > Number.MAX_SAFE_INTEGER) {
      throw invalid(`"${names[index]}" has the shape [${sizes.subarray(first, last)}], which is too large`);
    }
  }
  return isEmpty ? 0 : product;
}

function checkAlias(columns: Columns, firstSize: Uint32Array, index: number): void {
  const { alias, dtype, rank, sizes, names } = columns;
  const target = at(alias, index);
  if (target >= index || at(alias, target) !== NO_ALIAS) {
    throw invalid(
      `"${names[index]}" is an alias of tensor ${target}, which is no earlier tensor with bytes of its own`,
    );
  }
  let isAlike = at(dtype, index) === at(dtype, target) && at(rank, index) === at(rank, target);
  for (let axis = 0; isAlike && axis < at(rank, index); axis++) {
    isAlike = at(sizes, at(firstSize, index) + axis) === at(sizes, at(firstSize, target) + axis);
  }
  if (isAlike) return;
  throw invalid(`"${names[index]}" is an alias of "${names[target]}", which has another dtype or shape`);
}

/** For a tensor table that no writer wrote. */
export function invalid(problem: string): CairnError {
  return new CairnError("invalid_container", `The tensor table is not valid: ${problem}`);
}
