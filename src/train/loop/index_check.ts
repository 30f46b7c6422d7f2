import { byteSizeOf } from "../../base/dtype.ts";
import type { InputLimit } from "../../graph/index_limits.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { elementCount } from "../../tensor/shape.ts";
import type { Batch, BatchRequest, BatchSource } from "../../data/batch_source.ts";

/**
 * A `RangeError` that names the example and the value, when a label or an input of `batch` is no index: on the GPU it
 * would make NaN of every weight, and nobody would know of which example.
 *
 * @param limits Of the program that the batch is for.
 */
export function requireIndices(
  limits: ReadonlyMap<string, InputLimit>,
  source: BatchSource,
  batch: Batch,
  request: BatchRequest,
): void {
  for (const part of ["labels", "inputs"] as const) {
    const limit = limits.get(part);
    if (limit === undefined) continue;
    const { dtype, shape } = source[part];
    const { buffer, byteOffset, byteLength } = batch[part];
    const perExample = elementCount(shape);
    const count = perExample === 0 ? 0 : Math.floor(byteLength / byteSizeOf(dtype) / perExample);
    const tensor = HostTensor.fromBytes(new Uint8Array(buffer, byteOffset, byteLength), dtype, [
      count,
      ...shape,
    ]);
    const elements = tensor.toArray() as Int32Array;
    const at = elements.findIndex((element) => element < 0 || element >= limit.below);
    if (at < 0) continue;
    const row = Math.floor(at / perExample);
    const place = `example ${row} of batch ${request.position} of epoch ${request.epoch + 1}`;
    const index = source.indicesAt?.(request)[row];
    throw new RangeError(
      `The ${part === "labels" ? "label" : "input"} of ${
        index === undefined ? place : `example ${index} (${place})`
      } ` +
        `is ${elements[at]}, and ${limit.op} takes whole numbers from 0 to ${limit.below - 1}; ` +
        `correct the data, or give the model an output for each class`,
    );
  }
}
