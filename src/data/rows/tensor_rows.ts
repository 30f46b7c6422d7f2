import { crc32 } from "../../base/crc32/crc32.ts";
import { byteSizeOf } from "../../base/dtype.ts";
import { nextTurn } from "../../base/event_loop.ts";
import type { HostTensor } from "../../tensor/host_tensor.ts";
import { elementCount } from "../../tensor/shape.ts";
import { batchArray } from "../example.ts";
import type { ExampleSpec } from "../batch_source.ts";

/** What takes a few milliseconds. */
const CHECKSUM_SLICE_BYTES = 16 * 1024 * 1024;

/** The rows of a tensor in memory, along its first axis. */
export class TensorRows {
  readonly length: number;
  readonly row: ExampleSpec;
  readonly #bytes: Uint8Array;
  readonly #rowBytes: number;
  #checksum: Promise<number> | undefined;

  /** Keeps the tensor's memory, and copies nothing. */
  constructor({ dtype, shape: [length = 0, ...shape], bytes }: HostTensor) {
    this.length = length;
    this.row = { dtype, shape };
    this.#bytes = bytes;
    this.#rowBytes = elementCount(shape) * byteSizeOf(dtype);
  }

  /** Of all bytes, which is computed once. The thread does other things in between. */
  checksum(): Promise<number> {
    return this.#checksum ??= this.#computeChecksum();
  }

  /** Copies of rows, one after the other. */
  gather(indices: readonly number[]): ArrayBufferView {
    const rowBytes = this.#rowBytes;
    const gathered = new Uint8Array(indices.length * rowBytes);
    indices.forEach((row, index) =>
      gathered.set(this.#bytes.subarray(row * rowBytes, (row + 1) * rowBytes), index * rowBytes)
    );
    return batchArray(gathered, this.row, indices.length);
  }

  async #computeChecksum(): Promise<number> {
    let checksum = 0;
    for (let start = 0; start < this.#bytes.byteLength; start += CHECKSUM_SLICE_BYTES) {
      if (start > 0) await nextTurn();
      checksum = crc32(this.#bytes.subarray(start, start + CHECKSUM_SLICE_BYTES), checksum);
    }
    return checksum;
  }
}
