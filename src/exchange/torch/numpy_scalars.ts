import type { DType } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { isTuple } from "./pickle_machine.ts";
import { DTYPE_OF_CODE } from "../numpy/numpy_dtype.ts";
import {
  ComplexNumber,
  PickleGlobal,
  PickleObject,
  PickleOpaque,
  type PickleValue,
} from "./pickle_values.ts";

const KIND_NAMES: Readonly<Record<string, string>> = {
  b: "bool",
  u: "uint",
  i: "int",
  f: "float",
  c: "complex",
};

/** A dtype of NumPy in a pickle. */
export class NumpyDType extends PickleOpaque {
  /** As NumPy's pickles have it, without the byte order: `f4`, `U3`. */
  readonly code: string;
  isBigEndian = false;
  /** Whether its elements have fields or are arrays. */
  isStructured = false;

  constructor(code: string) {
    super();
    this.code = code;
  }

  /** Bytes of an element; NaN where the code does not say. */
  get byteSize(): number {
    const [, kind = "", size = ""] = /^([A-Za-z])(\d+)$/.exec(this.code) ?? [];
    return size === "" ? NaN : Number(size) * (kind === "U" ? 4 : 1);
  }

  /** Cairn's dtype for it, if there is one. */
  get dtype(): DType | undefined {
    return !this.isStructured && Object.hasOwn(DTYPE_OF_CODE, this.code)
      ? DTYPE_OF_CODE[this.code]
      : undefined;
  }

  /**
   * `"numpy.float32"`; what is not in this machine's order, or of no plain kind, as NumPy's code: `"numpy.>u2"`,
   * `"numpy.U3"`.
   */
  describe(): string {
    const kind = KIND_NAMES[this.code.charAt(0)];
    if (kind === undefined || !(this.byteSize > 0) || this.isStructured) return `numpy.${this.code}`;
    if (this.isBigEndian) return `numpy.>${this.code}`;
    return this.code === "b1" ? "numpy.bool" : `numpy.${kind}${8 * this.byteSize}`;
  }

  /** Takes the state that NumPy saves with a dtype; `false` for any other. */
  setState(state: PickleValue): boolean {
    const [version, order, subarray, names] = isTuple(state) ? state : [];
    this.isBigEndian = order === ">";
    this.isStructured = (subarray ?? null) !== null || (names ?? null) !== null;
    return typeof version === "number" && typeof order === "string" && /^[<>|=]$/.test(order);
  }
}

/**
 * The names that NumPy's dtypes and scalars need, as a metric in a checkpoint often is one: they come out as plain
 * values.
 */
export function numpyGlobal(name: string): PickleGlobal | undefined {
  const call = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  return call === undefined ? undefined : new PickleGlobal(name, call);
}

const FUNCTIONS: Readonly<Record<string, (args: readonly PickleValue[]) => PickleValue>> = {
  "numpy.dtype": dtype,
  "numpy.core.multiarray.scalar": scalar,
  "numpy._core.multiarray.scalar": scalar,
};

function dtype([code]: readonly PickleValue[]): PickleValue {
  // A dtype that a package added, such as ml_dtypes' bfloat16, is named by its class.
  if (code instanceof PickleObject) return new NumpyDType(code.name);
  return typeof code === "string" ? new NumpyDType(code) : refuse("numpy.dtype");
}

function scalar([type, bytes]: readonly PickleValue[]): PickleValue {
  if (!(type instanceof NumpyDType)) return refuse("numpy.core.multiarray.scalar");
  const isKnown = type.dtype !== undefined || /^[cSU]\d+$/.test(type.code);
  if (!isKnown || type.isStructured || !(bytes instanceof Uint8Array)) {
    return new PickleObject("numpy.core.multiarray.scalar", [type, bytes ?? null]);
  }
  if (bytes.byteLength !== type.byteSize) return refuse("numpy.core.multiarray.scalar");
  return elementOf(type, bytes);
}

/** The plain value of an element of a dtype that is a number, a truth value or text. */
export function elementOf(type: NumpyDType, bytes: Uint8Array): PickleValue {
  const { code, isBigEndian } = type;
  if (code.startsWith("S")) return bytes.slice(0, bytes.findLastIndex((byte) => byte !== 0) + 1);
  if (code.startsWith("U")) return textOf(bytes, isBigEndian);
  if (code.startsWith("c")) {
    const half = bytes.byteLength / 2;
    const part = (start: number): number =>
      Number(numberOf(`f${half}`, isBigEndian, bytes.subarray(start, start + half)));
    return new ComplexNumber(part(0), part(half));
  }
  return numberOf(code, isBigEndian, bytes);
}

function numberOf(code: string, isBigEndian: boolean, bytes: Uint8Array): number | bigint | boolean {
  const ofDType = DTYPE_OF_CODE[code];
  if (ofDType === undefined) return refuse("numpy.core.multiarray.scalar");
  const [value = 0] = HostTensor.fromBytes(isBigEndian ? bytes.toReversed() : bytes.slice(), ofDType, [])
    .toArray();
  if (ofDType === "bool") return value !== 0;
  return typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** UTF-32, with zeros behind it. */
function textOf(bytes: Uint8Array, isBigEndian: boolean): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let text = "";
  for (let at = 0; at < bytes.byteLength; at += 4) {
    const point = view.getUint32(at, !isBigEndian);
    if (point > 0x10ffff) return refuse("numpy.core.multiarray.scalar");
    text += String.fromCodePoint(point);
  }
  return text.replace(/\0+$/, "");
}

function refuse(name: string): never {
  throw new CairnError(
    "unsupported",
    `The pickle calls ${name} with arguments that are not those of a plain number`,
  );
}
