import { alignUp, TENSOR_ALIGNMENT } from "../../base/checked.ts";
import { byteSizeOf, type DType } from "../../base/dtype.ts";
import { castBytes, isCastable } from "../../container/read/cast.ts";
import type { TensorSpec } from "../../container/format/layout.ts";
import { elementCount } from "../../tensor/shape.ts";
import type { TensorForm } from "../../tensor/tensor_form.ts";

/**
 * Says as which dtype a tensor is written to the file; `undefined` for as it is. The shape stays. Follows torchsnapshot's hook on
 * each tensor, which is there for quantising what is saved.
 */
export type StoredDType = (tensor: TensorForm) => DType | undefined;

/** Tensors as they are written, and what those are in memory that differ. */
export interface CastPlan {
  readonly tensors: readonly TensorSpec[];
  /** By name, the dtype of each tensor that is written with another one. */
  readonly castFrom: Readonly<Record<string, DType>>;
}

/** Neighbours in the raw space with nothing to do, or one tensor that is cast. */
interface CastPiece {
  /** Padding included, but of a tensor that is cast. */
  byteLength: number;
  paddedLength: number;
  readonly cast?: { readonly from: DType; readonly to: DType; readonly padding: number };
}

const ZEROS = new Uint8Array(TENSOR_ALIGNMENT);
/** Bytes that are cast at once, so that nothing else waits long. */
const CAST_BYTES = 256 * 1024;

/**
 * Asks `storedDType` about each tensor. One that is tied to another is what that is.
 *
 * @throws TypeError for a cast that there is not: f32, f16 and bf16 are cast into each other.
 */
export function planCasts(tensors: readonly TensorSpec[], storedDType: StoredDType): CastPlan {
  const stored = new Map<string, DType>();
  for (const { name, dtype, shape, aliasOf } of tensors) {
    if (aliasOf !== undefined) continue;
    const wanted = storedDType({ name, dtype, shape }) ?? dtype;
    if (wanted !== dtype && !(isCastable(dtype) && isCastable(wanted))) {
      throw new TypeError(
        `Cannot save "${name}" as ${
          String(wanted)
        }: it is ${dtype}, and only f32, f16 and bf16 are cast into each other`,
      );
    }
    stored.set(name, wanted);
  }
  const storedAs = ({ name, dtype, aliasOf }: TensorSpec): DType => stored.get(aliasOf ?? name) ?? dtype;
  const changed = tensors.filter((tensor) => storedAs(tensor) !== tensor.dtype);
  return {
    tensors: tensors.map((tensor) => ({ ...tensor, dtype: storedAs(tensor) })),
    castFrom: Object.fromEntries(changed.map(({ name, dtype }) => [name, dtype])),
  };
}

/**
 * The raw space of `to` from that of `from`, which are the same tensors with other dtypes. A piece is valid until the next one is
 * asked for, and no element lies in two of them.
 */
export async function* castPieces(
  pieces: AsyncIterable<Uint8Array>,
  from: readonly TensorSpec[],
  to: readonly TensorSpec[],
): AsyncGenerator<Uint8Array> {
  const plan = castsOf(from, to);
  let index = 0;
  let done = 0;
  for await (const piece of pieces) {
    for (let used = 0; used < piece.byteLength;) {
      const planned = plan[index];
      if (planned === undefined) {
        throw new RangeError(`There are ${piece.byteLength - used} bytes too many to cast`);
      }
      const size = Math.min(planned.paddedLength - done, piece.byteLength - used);
      const elementBytes = Math.min(size, Math.max(0, planned.byteLength - done));
      yield* castPiece(planned, piece.subarray(used, used + elementBytes));
      used += size;
      done += size;
      if (done < planned.paddedLength) continue;
      if (planned.cast !== undefined) yield ZEROS.subarray(0, planned.cast.padding);
      index++;
      done = 0;
    }
  }
}

function* castPiece({ cast }: CastPiece, bytes: Uint8Array): Generator<Uint8Array> {
  if (cast === undefined) return yield bytes;
  if (!isCastable(cast.from) || !isCastable(cast.to)) return;
  for (let at = 0; at < bytes.byteLength; at += CAST_BYTES) {
    yield castBytes(bytes.subarray(at, at + CAST_BYTES), cast.from, cast.to);
  }
}

function castsOf(from: readonly TensorSpec[], to: readonly TensorSpec[]): CastPiece[] {
  const plan: CastPiece[] = [];
  for (const [index, { dtype, shape, aliasOf }] of from.entries()) {
    const stored = to[index]?.dtype ?? dtype;
    const count = elementCount(shape);
    if (aliasOf !== undefined || count === 0) continue;
    const byteLength = count * byteSizeOf(dtype);
    const paddedLength = alignUp(byteLength, TENSOR_ALIGNMENT);
    const last = plan.at(-1);
    if (stored !== dtype) {
      const storedLength = count * byteSizeOf(stored);
      const padding = alignUp(storedLength, TENSOR_ALIGNMENT) - storedLength;
      plan.push({ byteLength, paddedLength, cast: { from: dtype, to: stored, padding } });
    } else if (last !== undefined && last.cast === undefined) {
      last.byteLength += paddedLength;
      last.paddedLength += paddedLength;
    } else plan.push({ byteLength: paddedLength, paddedLength });
  }
  return plan;
}
