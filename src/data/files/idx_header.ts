import type { DType } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import type { ByteSource } from "../../container/source.ts";
import type { Shape } from "../../tensor/shape.ts";

/** What an IDX file says in front of its elements. */
export interface IdxHeader {
  readonly dtype: DType;
  readonly shape: Shape;
  /** Where the elements start. They are big-endian. */
  readonly dataOffset: number;
}

const DTYPES = new Map<number | undefined, DType>([
  [0x08, "u8"],
  [0x09, "i8"],
  [0x0b, "i16"],
  [0x0c, "i32"],
  [0x0d, "f32"],
  [0x0e, "f64"],
]);

/** Whether a file may be one, by its first bytes: two zeros, a type, and how many dimensions. */
export function isIdx(head: Uint8Array): boolean {
  return head[0] === 0 && head[1] === 0 && DTYPES.has(head[2]) && (head[3] ?? 0) >= 1;
}

/**
 * The header of an IDX file, as the sets of MNIST and their kin are: a magic number, the sizes of the dimensions as
 * 32-bit big-endian integers.
 *
 * @throws CairnError `invalid_file` or `truncated`.
 */
export async function readIdxHeader(source: ByteSource): Promise<IdxHeader> {
  const head = new Uint8Array(Math.min(4, source.byteLength));
  await source.read(0, head);
  const [, , type, rank = 0] = head;
  const dtype = DTYPES.get(type);
  if (dtype === undefined || !isIdx(head)) {
    throw new CairnError("invalid_file", "This is no IDX file: it does not begin with two zeros and a type");
  }
  const sizes = new Uint8Array(4 * rank);
  await source.read(4, sizes);
  const view = new DataView(sizes.buffer);
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 * axis));
  return { dtype, shape, dataOffset: 4 + 4 * rank };
}
