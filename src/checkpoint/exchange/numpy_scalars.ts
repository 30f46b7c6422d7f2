import type { DType } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { DTYPE_OF_CODE } from "./numpy_dtype.ts";
import { PickleGlobal, PickleOpaque, type PickleValue } from "./pickle_values.ts";

/** A dtype of NumPy in a pickle. */
export class NumpyDType extends PickleOpaque {
  readonly code: string;
  isBigEndian = false;

  constructor(code: string) {
    super();
    this.code = code;
  }

  /** Takes the state that NumPy saves with a dtype, whose second field is the byte order; `false` for any other. */
  setState(state: PickleValue): boolean {
    const order = Array.isArray(state) ? state[1] : undefined;
    this.isBigEndian = order === ">";
    return order === "<" || order === ">" || order === "|";
  }
}

/** The names that NumPy's numbers need, as a metric in a checkpoint often is one: they come out as plain numbers. */
export function numpyGlobal(name: string): PickleGlobal | undefined {
  const call = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  return call === undefined ? undefined : new PickleGlobal(name, call);
}

const FUNCTIONS: Readonly<Record<string, (args: readonly PickleValue[]) => PickleValue>> = {
  "numpy.dtype": ([code]) => typeof code === "string" ? new NumpyDType(code) : refuse("numpy.dtype"),
  "numpy.core.multiarray.scalar": scalar,
  "numpy._core.multiarray.scalar": scalar,
  // How bytes are said in protocol 2: as a text of the first 256 letters.
  "_codecs.encode": ([text, encoding]) =>
    typeof text === "string" && encoding === "latin1" ? latin1(text) : refuse("_codecs.encode"),
};

function scalar([dtype, bytes]: readonly PickleValue[]): PickleValue {
  const isNumber = dtype instanceof NumpyDType && bytes instanceof Uint8Array &&
    Object.hasOwn(DTYPE_OF_CODE, dtype.code);
  if (!isNumber || bytes.byteLength !== Number(dtype.code.slice(1))) {
    return refuse("numpy.core.multiarray.scalar");
  }
  const ofDType = DTYPE_OF_CODE[dtype.code] as DType;
  const [value = 0] = HostTensor.fromBytes(dtype.isBigEndian ? bytes.toReversed() : bytes, ofDType, [])
    .toArray();
  if (ofDType === "bool") return value !== 0;
  return typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function latin1(text: string): Uint8Array {
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const isLatin1 = bytes.length === text.length && bytes.every((byte, i) => byte === text.charCodeAt(i));
  return isLatin1 ? bytes : refuse("_codecs.encode");
}

function refuse(name: string): never {
  throw new CairnError(
    "unsupported",
    `The pickle calls ${name} with arguments that are not those of a plain number`,
  );
}
