import { allocate } from "../../base/allocate.ts";
import { byteSizeOf, type DType } from "../../base/dtype.ts";
import type { Description } from "../../base/description.ts";
import { CairnError } from "../../base/errors.ts";
import type { ByteSource } from "../../container/source.ts";
import { elementCount, formatShape, type Shape } from "../../tensor/shape.ts";
import type { ExampleSpec } from "../batch_source.ts";
import type { StoredRows } from "../rows/stored_rows.ts";
import { checksumOfEnds } from "./file_pieces.ts";

/** Where a tensor is in a file: row-major, without gaps. */
export interface TensorPlace {
  readonly dtype: DType;
  readonly shape: Shape;
  /** Where its elements start. */
  readonly offset: number;
  /** Whether the first byte of an element is the highest one. */
  readonly isBigEndian: boolean;
}

/** The rows of a tensor in a file, each of which is read when it is asked for. */
export class SourceRows implements StoredRows {
  readonly length: number;
  readonly row: ExampleSpec;
  readonly #source: ByteSource;
  readonly #place: TensorPlace;
  readonly #rowBytes: number;
  readonly #close: () => Promise<void>;

  /**
   * Owns the source from then on.
   *
   * @throws CairnError `truncated` where the file is too short for it; `invalid_file` for one without rows.
   */
  constructor(source: ByteSource, place: TensorPlace, close: () => Promise<void>) {
    const { dtype, shape: [length, ...shape], offset } = place;
    if (length === undefined) {
      throw new CairnError("invalid_file", "The file has a single number, and no rows");
    }
    this.length = length;
    this.row = { dtype, shape };
    this.#rowBytes = elementCount(shape) * byteSizeOf(dtype);
    this.#source = source;
    this.#place = place;
    this.#close = close;
    const needed = offset + length * this.#rowBytes;
    if (source.byteLength >= needed) return;
    throw new CairnError(
      "truncated",
      `The file has ${source.byteLength} bytes, expected ${needed} for ${dtype} ${
        formatShape(place.shape)
      }; ` +
        "download or copy it again",
      { details: { value: source.byteLength, limit: needed } },
    );
  }

  async read(first: number, count: number, into?: Uint8Array): Promise<Uint8Array> {
    if (!(first >= 0 && count >= 0 && first + count <= this.length)) {
      throw new RangeError(`There are no rows ${first} to ${first + count}: there are ${this.length}`);
    }
    const bytes = into ?? allocate(count * this.#rowBytes);
    await this.#source.read(this.#place.offset + first * this.#rowBytes, bytes);
    if (this.#place.isBigEndian) turnRound(bytes, byteSizeOf(this.row.dtype));
    return bytes;
  }

  async describe(): Promise<Description> {
    const { dtype, shape, offset } = this.#place;
    return { name: "rows", dtype, shape: [...shape], offset, ends: await checksumOfEnds(this.#source) };
  }

  async close(): Promise<void> {
    await this.#close();
  }
}

/** Each element's bytes in the other order. */
function turnRound(bytes: Uint8Array, elementBytes: number): void {
  if (elementBytes === 1) return;
  for (let at = 0; at < bytes.byteLength; at += elementBytes) {
    bytes.subarray(at, at + elementBytes).reverse();
  }
}
