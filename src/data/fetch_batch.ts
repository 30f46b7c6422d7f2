import { byteSizeOf } from "../base/dtype.ts";
import { CairnError } from "../base/errors.ts";
import { type Parts, partText } from "../base/parts/named.ts";
import { elementCount, formatShape } from "../tensor/shape.ts";
import { batchParts, exampleParts, requireSameParts } from "./batch_parts.ts";
import type { BatchReader, BatchRequest, BatchSource, ExampleSpec } from "./batch_source.ts";

/**
 * The batch that `request` names, part by part, if each has `size` examples. Throws `short_batch` if one has fewer, or
 * more.
 *
 * @param from What is asked for it. Default: the source.
 */
export async function fetchBatch(
  source: BatchSource,
  request: BatchRequest,
  size: number,
  from: Pick<BatchReader, "batchAt"> = source,
): Promise<Parts<ArrayBufferView>> {
  const parts = batchParts(await from.batchAt(request));
  const specs = exampleParts(source);
  requireSameParts("A batch", specs, Object.keys(parts));
  for (const [part, spec] of Object.entries(specs)) {
    const found = parts[part];
    if (found !== undefined) requireSize(part, found, spec, request, size);
  }
  return parts;
}

function requireSize(
  part: string,
  found: ArrayBufferView,
  example: ExampleSpec,
  request: BatchRequest,
  size: number,
): void {
  const count = countExamples(part, found, example);
  if (found.byteLength === size * exampleBytes(example)) return;
  const relation = count < size ? "is short" : "is too long";
  const epoch = request.epoch + 1;
  const expectedBytes = size * exampleBytes(example);
  throw new CairnError(
    "short_batch",
    `Batch ${request.position} of epoch ${epoch} ${relation}: its ${
      partText(part)
    } hold ${count} examples of ` +
      `${example.dtype} ${formatShape(example.shape)} (${found.byteLength} bytes), expected ${size} ` +
      `(${expectedBytes} bytes); let batchAt() give what exampleCount promises, or leave out a smaller last batch with dropLast`,
    { details: { value: count, limit: size } },
  );
}

/**
 * How many examples a part of a batch holds; a fraction where the last one is cut off.
 *
 * @throws TypeError for what is no typed array.
 */
export function countExamples(part: string, found: ArrayBufferView, example: ExampleSpec): number {
  if (!ArrayBuffer.isView(found)) {
    throw new TypeError(
      `The ${partText(part)} of a batch are a typed array, found ${found === null ? "null" : typeof found}`,
    );
  }
  const perExample = exampleBytes(example);
  return perExample === 0 ? 0 : found.byteLength / perExample;
}

function exampleBytes({ dtype, shape }: ExampleSpec): number {
  return elementCount(shape) * byteSizeOf(dtype);
}
