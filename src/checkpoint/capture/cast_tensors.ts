import { alignUp, TENSOR_ALIGNMENT } from "../../base/checked.ts";
import { byteSizeOf, type DType } from "../../base/dtype.ts";
import { castBytes, isCastable } from "../../container/read/cast.ts";
import type { TensorSpec } from "../../container/format/layout.ts";
import type { ByteSink } from "../../container/source.ts";
import { elementCount } from "../../tensor/shape.ts";
import type { TensorForm } from "../../tensor/tensor_form.ts";

/**
 * Says with which dtype a tensor is written to the file; `undefined` for its own. The shape stays. Follows
 * torchsnapshot's hook on each tensor, which is there for quantising what is saved.
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
 * @throws TypeError for an unknown cast: only f32, f16 and bf16 are cast into each other.
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
 * Takes the raw space of `from` and gives `sink` that of `to`, which are the same tensors with other dtypes. No
 * element may lie in two pieces.
 */
export function castingSink(
  sink: ByteSink,
  from: readonly TensorSpec[],
  to: readonly TensorSpec[],
): ByteSink {
  const plan = castsOf(from, to);
  let index = 0;
  let done = 0;
  return {
    write: async (piece) => {
      for (let used = 0; used < piece.byteLength;) {
        const planned = plan[index];
        if (planned === undefined) {
          throw new RangeError(`There are ${piece.byteLength - used} bytes too many to cast`);
        }
        const size = Math.min(planned.paddedLength - done, piece.byteLength - used);
        const elementBytes = Math.min(size, Math.max(0, planned.byteLength - done));
        await writeCast(sink, planned, piece.subarray(used, used + elementBytes));
        used += size;
        done += size;
        if (done < planned.paddedLength) continue;
        if (planned.cast !== undefined) await sink.write(ZEROS.subarray(0, planned.cast.padding));
        index++;
        done = 0;
      }
    },
  };
}

async function writeCast(sink: ByteSink, { cast }: CastPiece, bytes: Uint8Array): Promise<void> {
  if (cast === undefined) return await sink.write(bytes);
  if (!isCastable(cast.from) || !isCastable(cast.to)) return;
  for (let at = 0; at < bytes.byteLength; at += CAST_BYTES) {
    await sink.write(castBytes(bytes.subarray(at, at + CAST_BYTES), cast.from, cast.to));
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
