import { byteSizeOf } from "../base/dtype.ts";
import { allocate } from "../base/allocate.ts";
import { requireAwaited } from "../base/options/kind_of.ts";
import { HostTensor } from "../tensor/host_tensor.ts";
import { inferDType, isNodeBuffer } from "../tensor/host_values.ts";
import { elementCount, formatShape, shapesEqual } from "../tensor/shape.ts";
import { type TensorLike, tensorOf } from "../tensor/tensor_like.ts";
import type { Batch, ExampleSpec } from "./batch_source.ts";

/** One example: tensors, typed arrays, nested arrays of numbers, or a number. */
export interface Example {
  /** Without the batch axis. A typed array says its dtype, and is given the shape that was declared. */
  readonly inputs: TensorLike;
  /** A class, a number, or several. Left out where there are none, such as to predict. */
  readonly labels?: TensorLike | undefined;
}

/** What the examples of a source are. */
export interface ExampleSpecs {
  /** What one example of the inputs is. */
  readonly inputs: ExampleSpec;
  /** What the label of one example is. */
  readonly labels: ExampleSpec;
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

function specOf(value: TensorLike, what: string): ExampleSpec {
  const { dtype, shape } = tensorOf(value, what);
  return { dtype, shape };
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
  readonly #inputs: PartRows;
  readonly #labels: PartRows;

  /** @param size How many examples. */
  constructor({ inputs, labels }: ExampleSpecs, size: number) {
    this.#inputs = new PartRows("inputs", inputs, size);
    this.#labels = new PartRows("labels", labels, size);
  }

  /** Copies an example to its row. @throws TypeError or RangeError where it is not what the others are. */
  set(row: number, example: Example): void {
    const { inputs, labels } = requireExample(example);
    this.#inputs.set(row, inputs);
    if (labels !== undefined) this.#labels.set(row, labels);
    else if (!this.#labels.isEmpty) throw new TypeError("It has no labels, and the others have");
  }

  /** Shares the memory. */
  toBatch(): Batch {
    return { inputs: this.#inputs.array, labels: this.#labels.array };
  }
}

/** The inputs or the labels of a batch. */
class PartRows {
  readonly #what: string;
  readonly #spec: ExampleSpec;
  readonly #bytes: Uint8Array;
  readonly #rowBytes: number;
  readonly #size: number;

  constructor(what: string, spec: ExampleSpec, size: number) {
    this.#what = what;
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
    const tensor = tensorOf(value, this.#what, { dtype, shape });
    if (tensor.dtype === dtype && shapesEqual(tensor.shape, shape)) return tensor.bytes;
    throw this.#mismatch(`${tensor.dtype} ${formatShape(tensor.shape)}`);
  }

  #mismatch(found: string): TypeError {
    const { dtype, shape } = this.#spec;
    return new TypeError(
      `Its ${this.#what} are ${found}, expected ${dtype} ${
        formatShape(shape)
      }, as was declared or as in the first ` +
        `example; convert them, or declare ${this.#what}: { dtype, shape }`,
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
