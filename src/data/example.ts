import { type Named, namedOf, type Parts, partsIn, partsOf, partText } from "../base/parts/named.ts";
import { byteSizeOf } from "../base/dtype.ts";
import { allocate } from "../base/allocate.ts";
import { requireAwaited } from "../base/options/kind_of.ts";
import { HostTensor } from "../tensor/host_tensor.ts";
import { inferDType, isNodeBuffer } from "../tensor/host_values.ts";
import { elementCount, formatShape, shapesEqual } from "../tensor/shape.ts";
import { isTensorLike, type TensorLike, tensorOf } from "../tensor/tensor_like.ts";
import { exampleParts } from "./batch_parts.ts";
import type { Batch, ExampleSpec } from "./batch_source.ts";

/** One example: tensors, typed arrays, nested arrays of numbers, or a number. */
export interface Example {
  /**
   * Without the batch axis. A typed array says its dtype, and is given the shape that was declared. Several inputs each
   * by its name.
   */
  readonly inputs: Named<TensorLike>;
  /** A class, a number, or several; several labels each by its name. Left out where there are none, as to predict. */
  readonly labels?: Named<TensorLike> | undefined;
}

/** What the examples of a source are. */
export interface ExampleSpecs {
  /** What one example of the inputs is. */
  readonly inputs: Named<ExampleSpec>;
  /** What the label of one example is. */
  readonly labels: Named<ExampleSpec>;
}

/** Labels without elements: nothing reads any. */
const NO_LABELS: ExampleSpec = { dtype: "u8", shape: [0] };

/**
 * What is declared, and where something is not, what `example` is: a typed array has its dtype and one dimension,
 * numbers are f32, and nested arrays have a dimension a level.
 *
 * @throws TypeError for what is no tensor.
 */
export function specsOf(example: Example, declared: Partial<ExampleSpecs>): ExampleSpecs {
  const { inputs, labels } = requireExample(example);
  return {
    inputs: declared.inputs ?? specOf(inputs, "inputs"),
    labels: declared.labels ?? (labels === undefined ? NO_LABELS : specOf(labels, "labels")),
  };
}

function specOf(value: Named<TensorLike>, what: string): Named<ExampleSpec> {
  const parts = Object.entries(partsOf<TensorLike>(what, value, isTensorLike)).map(([part, each]) => {
    const { dtype, shape } = tensorOf(each, partText(part));
    return [part, { dtype, shape }];
  });
  return namedOf<ExampleSpec>(what, Object.fromEntries(parts));
}

function requireExample(example: Example): Example {
  requireAwaited("An example", example, "the call that reads it");
  const given: Partial<Example> | null | undefined = example;
  if (given?.inputs !== undefined && given.inputs !== null) return example;
  const found = typeof example === "object" && example !== null
    ? `an object with ${Object.keys(example).map((key) => JSON.stringify(key)).join(", ") || "nothing"}`
    : String(example);
  throw new TypeError(
    `An example is { inputs, labels }, found ${found}; make it one in get() or with transform`,
  );
}

/** A batch that is filled example by example. */
export class BatchRows {
  /** How many examples. */
  readonly size: number;
  readonly #rows: Parts<PartRows>;

  constructor(specs: ExampleSpecs, size: number) {
    this.size = size;
    const parts = Object.entries(exampleParts(specs));
    this.#rows = Object.fromEntries(parts.map(([part, spec]) => [part, new PartRows(part, spec, size)]));
  }

  /** Copies an example to its row. @throws TypeError or RangeError where it is not what the others are. */
  set(row: number, example: Example): void {
    const { inputs, labels } = requireExample(example);
    this.#setParts(row, "inputs", inputs);
    if (labels !== undefined) this.#setParts(row, "labels", labels);
    else if (Object.values(partsIn("labels", this.#rows)).some((rows) => !rows.isEmpty)) {
      throw new TypeError("It has no labels, and the others have");
    }
  }

  /** Shares the memory. */
  toBatch(): Batch {
    const arrays = Object.entries(this.#rows).map(([part, { array }]) => [part, array]);
    const parts: Parts<ArrayBufferView> = Object.fromEntries(arrays);
    return { inputs: namedOf("inputs", parts), labels: namedOf("labels", parts) };
  }

  #setParts(row: number, what: "inputs" | "labels", given: Named<TensorLike>): void {
    const parts = partsOf<TensorLike>(what, given, isTensorLike);
    const own = partsIn(what, this.#rows);
    const strange = Object.keys(parts).find((part) => own[part] === undefined);
    const missing = Object.keys(own).find((part) => parts[part] === undefined);
    if (strange !== undefined) throw new TypeError(`It has ${partText(strange)}, and the others have none`);
    if (missing !== undefined) throw new TypeError(`It has no ${partText(missing)}, and the others have`);
    for (const [part, value] of Object.entries(parts)) own[part]?.set(row, value);
  }
}

/** One part of a batch: the inputs or the labels, or one of several. */
class PartRows {
  readonly #part: string;
  readonly #spec: ExampleSpec;
  readonly #bytes: Uint8Array;
  readonly #rowBytes: number;
  readonly #size: number;

  constructor(part: string, spec: ExampleSpec, size: number) {
    this.#part = part;
    this.#spec = spec;
    this.#size = size;
    this.#rowBytes = elementCount(spec.shape) * byteSizeOf(spec.dtype);
    this.#bytes = allocate(size * this.#rowBytes);
  }

  get isEmpty(): boolean {
    return this.#rowBytes === 0;
  }

  get array(): ArrayBufferView {
    return batchArray(this.#bytes, this.#spec, this.#size);
  }

  set(row: number, value: TensorLike): void {
    this.#bytes.set(this.#bytesOf(value), row * this.#rowBytes);
  }

  #bytesOf(value: TensorLike): Uint8Array {
    const { dtype, shape } = this.#spec;
    if (ArrayBuffer.isView(value) && !isNodeBuffer(value)) {
      const found = value instanceof Uint16Array && byteSizeOf(dtype) === 2 ? dtype : inferDType(value);
      if (found === dtype && value.byteLength === this.#rowBytes) {
        return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
      }
      throw this.#mismatch(`${found} ${formatShape([value.length])}`);
    }
    const tensor = tensorOf(value, partText(this.#part), { dtype, shape });
    if (tensor.dtype === dtype && shapesEqual(tensor.shape, shape)) return tensor.bytes;
    throw this.#mismatch(`${tensor.dtype} ${formatShape(tensor.shape)}`);
  }

  #mismatch(found: string): TypeError {
    const { dtype, shape } = this.#spec;
    return new TypeError(
      `Its ${partText(this.#part)} are ${found}, expected ${dtype} ${
        formatShape(shape)
      }, as was declared or as in the first ` +
        `example; convert them, or declare ${this.#part}: { dtype, shape }`,
    );
  }
}

/** `size` examples as the typed array of their dtype; bits of 16-bit floats, which go to the GPU as they are. */
export function batchArray(bytes: Uint8Array, { dtype, shape }: ExampleSpec, size: number): ArrayBufferView {
  if (dtype === "f16" || dtype === "bf16") {
    return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  }
  return HostTensor.fromBytes(bytes, dtype, [size, ...shape]).toArray();
}
