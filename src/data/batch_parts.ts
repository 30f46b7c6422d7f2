import { type Named, type Parts, partsOf, partText } from "../base/parts/named.ts";
import type { Batch, BatchSource, ExampleSpec } from "./batch_source.ts";

/** What one example of each part is, by the part's name: `inputs` and `labels`, or `inputs.image` of several. */
export function exampleParts({ inputs, labels }: Pick<BatchSource, "inputs" | "labels">): Parts<ExampleSpec> {
  return { ...specParts("inputs", inputs), ...specParts("labels", labels) };
}

/** {@link exampleParts} of inputs, or of labels. */
export function specParts(what: "inputs" | "labels", specs: Named<ExampleSpec>): Parts<ExampleSpec> {
  return partsOf(what, specs, isExampleSpec);
}

/** The typed arrays of a batch, by the part's name. */
export function batchParts({ inputs, labels }: Batch): Parts<ArrayBufferView> {
  return { ...arrayParts("inputs", inputs), ...arrayParts("labels", labels) };
}

function arrayParts(what: "inputs" | "labels", arrays: Named<ArrayBufferView>): Parts<ArrayBufferView> {
  const found: unknown = arrays;
  if (typeof found === "object" && found !== null) return partsOf(what, arrays, ArrayBuffer.isView);
  throw new TypeError(
    `The ${what} of a batch are a typed array, or several by name, found ${
      found === null ? "null" : typeof found
    }`,
  );
}

/** Whether `specs` say what one example is, and not several by name. */
export function isExampleSpec(specs: unknown): specs is ExampleSpec {
  return typeof (specs as Partial<ExampleSpec> | null | undefined)?.dtype === "string";
}

/** A `TypeError` unless `found` are the names of the parts that `specs` has. */
export function requireSameParts(what: string, specs: Parts<ExampleSpec>, found: readonly string[]): void {
  const expected = Object.keys(specs);
  const missing = expected.find((part) => !found.includes(part));
  const strange = found.find((part) => !expected.includes(part));
  if (missing === undefined && strange === undefined) return;
  const list = (parts: readonly string[]): string => parts.map((part) => partText(part)).join(", ");
  throw new TypeError(`${what} has ${list(found)}, expected ${list(expected)}; give each under its name`);
}
