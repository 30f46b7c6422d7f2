import { requireAwaited } from "../base/options/kind_of.ts";
import { byteSizeOf, type DType, requireDType } from "../base/dtype.ts";
import { decodeBfloat16, decodeFloat16 } from "../base/float16.ts";
import {
  encodeElements,
  flatten,
  type HostValues,
  inferDType,
  inferShape,
  isNodeBuffer,
  requireNumbers,
} from "./host_values.ts";
import { showAs } from "../base/printable.ts";
import { tensorText } from "./tensor_text.ts";
import { elementCount, formatShape, type Shape, shapesEqual, validateShape } from "./shape.ts";

/** What {@link HostTensor.toArray} gives: the array type of the dtype; f16 and bf16 are converted, a bool is 0 or 1. */
export type TensorArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/**
 * A tensor in the host's memory: a dtype, a shape, and little-endian bytes, row-major without gaps.
 * Every platform that has WebGPU is little-endian, so typed arrays over the bytes read as they are.
 */
export class HostTensor {
  /** The dtype of its elements. */
  readonly dtype: DType;
  /** Sizes of the dimensions, outermost first; `[]` is a scalar. */
  readonly shape: Shape;
  /** The elements. They may be changed. */
  readonly bytes: Uint8Array;

  private constructor(dtype: DType, shape: Shape, bytes: Uint8Array) {
    this.dtype = dtype;
    this.shape = shape;
    this.bytes = bytes;
  }

  /**
   * Copies numbers, booleans, bigints, a typed array or nested arrays into a tensor.
   *
   * Without `shape` it follows the nesting; without `dtype` the typed array's own, else f32 (bool for booleans, i64 for
   * bigints). A typed array of the dtype's own kind is copied bit by bit, so NaN payloads stay. The bytes of a `Buffer`
   * are those of the elements, whose dtype has to be given.
   *
   * @param what Names the values in messages, such as `inputs`.
   * @throws TypeError when the values do not fill the shape, when nested arrays have different lengths, and for a
   * `Buffer` without a dtype; RangeError for a value that an integer dtype cannot hold.
   */
  static from(values: HostValues, shape?: Shape, dtype?: DType, what?: string): HostTensor {
    requireAwaited("The values of a tensor", values, "the call that gives them");
    if (dtype !== undefined) requireDType(dtype);
    if (isNodeBuffer(values)) return HostTensor.#fromBuffer(values, shape, dtype, what);
    const elements = flatten(values);
    requireNumbers(elements, what);
    const ofShape = shape ?? inferShape(values, () => what ?? "values");
    const ofDType = dtype ?? inferDType(elements);
    validateShape(ofShape);
    if (elementCount(ofShape) !== elements.length) {
      throw new TypeError(
        `A tensor of shape ${formatShape(ofShape)} has ${
          elementCount(ofShape)
        } elements, but ${elements.length} were given`,
      );
    }
    return new HostTensor(ofDType, [...ofShape], encodeElements(elements, ofDType));
  }

  static #fromBuffer(
    buffer: Uint8Array,
    shape: Shape | undefined,
    dtype: DType | undefined,
    what = "the values",
  ): HostTensor {
    if (dtype === undefined) {
      throw new TypeError(
        `What was given for ${what} is a Buffer, whose bytes may be of any dtype; say which, as in ` +
          'HostTensor.from(buffer, shape, "f32")',
      );
    }
    const size = byteSizeOf(dtype);
    return HostTensor.fromBytes(
      Uint8Array.from(buffer),
      dtype,
      shape ?? [Math.ceil(buffer.byteLength / size)],
    );
  }

  /**
   * A tensor over bytes that are there already: they are kept, not copied.
   * @throws TypeError when their length is not what dtype and shape need.
   */
  static fromBytes(bytes: Uint8Array, dtype: DType, shape: Shape): HostTensor {
    validateShape(shape);
    const byteLength = elementCount(shape) * byteSizeOf(dtype);
    if (bytes.byteLength !== byteLength) {
      throw new TypeError(
        `A ${dtype} tensor of shape ${
          formatShape(shape)
        } has ${byteLength} bytes, but ${bytes.byteLength} were given`,
      );
    }
    return new HostTensor(dtype, [...shape], bytes);
  }

  /** How many elements it has. */
  get elementCount(): number {
    return elementCount(this.shape);
  }

  /**
   * The elements as an array, row-major. It may share memory with {@link bytes} or be a copy: only read from it.
   * f16 and bf16 become floats, exactly; a bool becomes 0 or 1.
   */
  toArray(): TensorArray {
    switch (this.dtype) {
      case "f16":
        return decodeFloat16(new Uint16Array(...this.#span(2)));
      case "bf16":
        return decodeBfloat16(new Uint16Array(...this.#span(2)));
      case "f32":
        return new Float32Array(...this.#span(4));
      case "f64":
        return new Float64Array(...this.#span(8));
      case "i8":
        return new Int8Array(...this.#span(1));
      case "i16":
        return new Int16Array(...this.#span(2));
      case "i32":
        return new Int32Array(...this.#span(4));
      case "i64":
        return new BigInt64Array(...this.#span(8));
      case "bool":
      case "u8":
        return this.bytes;
      case "u16":
        return new Uint16Array(...this.#span(2));
      case "u32":
        return new Uint32Array(...this.#span(4));
      case "u64":
        return new BigUint64Array(...this.#span(8));
      default:
        throw new TypeError(`There is no dtype ${this.dtype satisfies never}`);
    }
  }

  /**
   * The value of a tensor with one element, such as a loss.
   * @throws TypeError for any other number of elements.
   */
  item(): number {
    const [value] = this.toArray();
    if (this.elementCount !== 1 || value === undefined) {
      throw new TypeError(
        `item() needs a tensor with one element; this one has the shape ${formatShape(this.shape)}`,
      );
    }
    return Number(value);
  }

  /** Whether dtype, shape and every bit are the same: NaN equals NaN with the same payload, and 0 is not -0. */
  equals(other: HostTensor): boolean {
    if (this.dtype !== other.dtype || !shapesEqual(this.shape, other.shape)) return false;
    const { bytes } = other;
    for (let i = 0; i < bytes.byteLength; i++) if (this.bytes[i] !== bytes[i]) return false;
    return true;
  }

  static {
    showAs(HostTensor.prototype, ({ dtype, shape, bytes }) => {
      const size = byteSizeOf(dtype);
      const at = (index: number) =>
        HostTensor.fromBytes(bytes.subarray(index * size, (index + 1) * size), dtype, []).toArray()[0];
      return tensorText({ dtype, shape, at });
    });
  }

  /** What a typed array constructor takes; a copy where the bytes do not start at a multiple of the element size. */
  #span(byteSize: number): [ArrayBufferLike, number, number] {
    const { bytes } = this;
    const aligned = bytes.byteOffset % byteSize === 0 ? bytes : bytes.slice();
    return [aligned.buffer, aligned.byteOffset, aligned.byteLength / byteSize];
  }
}
