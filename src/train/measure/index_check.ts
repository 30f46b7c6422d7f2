import { byteSizeOf, type DType } from "../../base/dtype.ts";
import type { InputLimit } from "../../graph/index_limits.ts";
import type { LabelRange } from "../../nn/losses/loss.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { elementCount } from "../../tensor/shape.ts";
import { type Parts, partText } from "../../base/parts/named.ts";
import { exampleParts } from "../../data/batch_parts.ts";
import type { BatchRequest, BatchSource, ExampleSpec } from "../../data/batch_source.ts";

/** What the elements of the inputs and the labels have to be, by the names of the parts of a batch. */
export type InputRanges = ReadonlyMap<string, readonly LabelRange[]>;

/**
 * What the elements of a batch have to be, by what each term of a loss declares of the labels, and by what the ops of
 * a program take for indices. What a term declares stands for its own ops too: it knows which labels never reach
 * them.
 *
 * @param parts Names of the parts of a batch.
 */
export function inputRanges(
  limits: ReadonlyMap<string, InputLimit>,
  declared: readonly (LabelRange | undefined)[],
  parts: readonly string[],
): InputRanges {
  const ofOps = (name: string): LabelRange[] => {
    const limit = limits.get(name);
    return limit === undefined ? [] : [{ loss: limit.op, least: 0, most: limit.below - 1 }];
  };
  const known = declared.flatMap((range) => range ?? []);
  return new Map(parts.map((part) => {
    const own = known.filter((range) => (range.part ?? "labels") === part);
    const isSaid = own.length > 0 && known.length === declared.length;
    return [part, isSaid ? own : [...own, ...ofOps(part)]];
  }));
}

/** {@link requireInRange} of a batch of a source, whose examples are named by their places in the data. */
export function requireBatchInRange(
  ranges: InputRanges,
  source: BatchSource,
  batch: Parts<ArrayBufferView>,
  request: BatchRequest,
): void {
  requireInRange(ranges, exampleParts(source), batch, (row) => {
    const place = `example ${row} of batch ${request.position} of epoch ${request.epoch + 1}`;
    const index = source.indicesAt?.(request)[row];
    return index === undefined ? place : `example ${index} (${place})`;
  });
}

/**
 * A `RangeError` that names the example and the value, when the program does not take a label or an input of `batch`.
 * On the GPU such a value would make every weight NaN, or be read as another one, and nothing would name the example.
 *
 * @param nameOf What the example at a place of the batch is called.
 */
export function requireInRange(
  ranges: InputRanges,
  specs: Parts<ExampleSpec>,
  batch: Parts<ArrayBufferView>,
  nameOf: (row: number) => string,
): void {
  for (const [part, ofPart] of ranges) {
    const [spec, array] = [specs[part], batch[part]];
    if (ofPart.length === 0 || spec === undefined || array === undefined) continue;
    const { dtype, shape } = spec;
    const { buffer, byteOffset, byteLength } = array;
    const perExample = elementCount(shape);
    const count = perExample === 0 ? 0 : Math.floor(byteLength / byteSizeOf(dtype) / perExample);
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    const elements = HostTensor.fromBytes(bytes, dtype, [count, ...shape]).toArray() as Float32Array;
    for (const range of ofPart) {
      const at = elements.findIndex((element) => isOutside(element, range));
      if (at < 0) continue;
      throw outOfRange(part, elements[at], range, dtype, nameOf(Math.floor(at / perExample)));
    }
  }
}

function isOutside(element: number, { least, most, ignored }: LabelRange): boolean {
  return (element < least || element > most) && element !== ignored;
}

function outOfRange(
  part: string,
  found: number | undefined,
  { loss, least, most, ignored }: LabelRange,
  dtype: DType,
  example: string,
): RangeError {
  const isFloat = dtype === "f32";
  const expected = `${isFloat ? "numbers" : "whole numbers"} from ${least} to ${most}${
    ignored === undefined ? "" : `, and ${ignored} for none`
  }`;
  return new RangeError(
    `The ${
      partText(part, "singular")
    } of ${example} is ${found}, and ${loss} takes ${expected}; correct the data${
      isFloat ? "" : ", or give the model an output for each class"
    }`,
  );
}
