import { byteSizeOf } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import { MAX_RANK } from "../../container/format/layout.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { elementCount } from "../../tensor/shape.ts";
import { elementOf, NumpyDType } from "./numpy_scalars.ts";
import { isTuple } from "./pickle_machine.ts";
import { PickleGlobal, PickleObject, PickleOpaque, type PickleValue } from "./pickle_values.ts";
import { columnMajorStrides, gather } from "../strided.ts";

/** Classes whose arrays are their elements and nothing else. */
const ARRAY_CLASSES = ["numpy.ndarray", "numpy.matrix", "numpy.memmap"];

/** An array of NumPy in a pickle. It is made without elements, which its state then brings. */
export class NumpyArray extends PickleOpaque {
  type: NumpyDType = new NumpyDType("u1");
  shape: readonly number[] = [0];
  isFortranOrder = false;
  /** Its elements as bytes; a list where they are Python objects. */
  elements: Uint8Array | PickleValue[] = new Uint8Array(0);

  /** Takes the state that NumPy saves with an array; `false` for any other. */
  setState(state: PickleValue): boolean {
    const [, shape, type, isFortranOrder, elements] = isTuple(state) && state.length === 5 ? state : [];
    if (!isTuple(shape) || !(type instanceof NumpyDType) || typeof isFortranOrder !== "boolean") return false;
    if (!(elements instanceof Uint8Array) && !Array.isArray(elements)) return false;
    this.set(type, shape, isFortranOrder, elements);
    return true;
  }

  set(
    type: NumpyDType,
    shape: readonly PickleValue[],
    isFortranOrder: boolean,
    elements: Uint8Array | PickleValue[],
  ): void {
    const count = countOf(shape);
    const hasAll = elements instanceof Uint8Array
      ? !(elements.byteLength !== count * type.byteSize && type.byteSize > 0)
      : elements.length === count;
    if (!hasAll) throw invalid(`has ${elements.length} bytes or values for ${type.code} [${shape}]`);
    this.type = type;
    this.shape = shape as number[];
    this.isFortranOrder = isFortranOrder;
    this.elements = elements;
  }

  /** A tensor for numbers, lists of lists for text, and what names itself for all else. */
  toPlain(): HostTensor | PickleValue {
    const { type, shape, elements } = this;
    const { dtype } = type;
    if (dtype !== undefined && elements instanceof Uint8Array && shape.length <= MAX_RANK) {
      const bytes = this.#rowMajor(elements, byteSizeOf(dtype));
      return HostTensor.fromBytes(type.isBigEndian ? turned(bytes, byteSizeOf(dtype)) : bytes, dtype, shape);
    }
    if (
      /^[SU][1-9]/.test(type.code) && elements instanceof Uint8Array && elements.byteLength > 0 &&
      !this.isFortranOrder
    ) {
      let at = 0;
      return nested(shape, () => elementOf(type, elements.subarray(at, at += type.byteSize)));
    }
    return new PickleObject("numpy.ndarray", [type, Object.freeze([...shape]) as number[], elements]);
  }

  #rowMajor(bytes: Uint8Array, byteSize: number): Uint8Array {
    const { shape } = this;
    if (!this.isFortranOrder || shape.length < 2) return bytes.slice();
    return gather(bytes, byteSize, { shape, strides: columnMajorStrides(shape), offset: 0 });
  }
}

/** The names that NumPy's arrays need in a pickle. */
export function numpyArrayGlobal(name: string): PickleGlobal | undefined {
  const ofModule = name.replace("numpy._core.", "numpy.core.");
  if (ofModule === "numpy.core.multiarray._reconstruct") return new PickleGlobal(name, reconstruct);
  return ofModule === "numpy.core.numeric._frombuffer" ? new PickleGlobal(name, fromBuffer) : undefined;
}

/** Of a class of arrays that has more than elements, nothing is known. */
function reconstruct(args: readonly PickleValue[]): PickleValue {
  const [ofClass] = args;
  const isArray = ofClass instanceof PickleObject && ARRAY_CLASSES.includes(ofClass.name);
  if (isArray) return new NumpyArray();
  return new PickleObject(ofClass instanceof PickleObject ? ofClass.name : "numpy.ndarray", args);
}

function fromBuffer([elements, type, shape, order]: readonly PickleValue[]): PickleValue {
  const array = new NumpyArray();
  const fits = elements instanceof Uint8Array && type instanceof NumpyDType && isTuple(shape) &&
    (order === "C" || order === "F");
  if (!fits) throw invalid("is made of something that is no buffer");
  array.set(type, shape, order === "F", elements);
  return array;
}

function countOf(shape: readonly PickleValue[]): number {
  const isShape = shape.every((size) => typeof size === "number" && Number.isSafeInteger(size) && size >= 0);
  if (!isShape) throw invalid(`has the shape [${shape}]`);
  try {
    return elementCount(shape as number[]);
  } catch (cause) {
    throw new CairnError(
      "invalid_file",
      `An array of NumPy has more elements than can be counted: [${shape}]`,
      {
        cause,
      },
    );
  }
}

function nested(shape: readonly number[], next: () => PickleValue): PickleValue {
  const [size, ...inner] = shape;
  return size === undefined ? next() : Array.from({ length: size }, () => nested(inner, next));
}

function turned(bytes: Uint8Array, byteSize: number): Uint8Array {
  for (let at = 0; at < bytes.byteLength; at += byteSize) bytes.subarray(at, at + byteSize).reverse();
  return bytes;
}

function invalid(problem: string): CairnError {
  return new CairnError("invalid_file", `An array of NumPy in the pickle ${problem}; the file is damaged`);
}
