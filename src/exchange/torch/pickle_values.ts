/**
 * What a pickle builds here. Lists are arrays and tuples frozen arrays; None is null; an integer is a number where
 * that is exact and a bigint elsewhere. Nothing of it has behaviour of its own.
 */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | ComplexNumber
  | PickleValue[]
  | PickleDict
  | PickleSet
  | PickleGlobal
  | PickleObject
  | PickleOpaque;

/** A Python dict, with its items in order. */
export class PickleDict {
  /** Keys and values, in the order of the pickle. */
  readonly items: Map<PickleValue, PickleValue> = new Map();
}

/** A Python set. */
export class PickleSet {
  /** In the order of the pickle. */
  readonly items: Set<PickleValue> = new Set();
}

/** A complex number of Python or NumPy. */
export class ComplexNumber {
  /** Its real part, a float64. */
  readonly real: number;
  /** Its imaginary part, a float64. */
  readonly imaginary: number;

  /** `real + imaginary i`. */
  constructor(real: number, imaginary: number) {
    this.real = real;
    this.imaginary = imaginary;
  }
}

/** Something that a global or a persistent id stood for: a storage, a tensor, a dtype. */
export class PickleOpaque {
  /** Keeps the type apart from others of the same shape; there is no such field. */
  declare protected readonly kind: string;
}

/** A name that a pickle may say: it is on the list, and what it does is written here and not in the pickle. */
export class PickleGlobal {
  /** Module and name: `"collections.OrderedDict"`. */
  readonly name: string;
  /** What calling it gives; absent where it is no function. */
  readonly call?: (args: readonly PickleValue[]) => PickleValue;

  /** A name of the list, and what calling it gives. */
  constructor(name: string, call?: (args: readonly PickleValue[]) => PickleValue) {
    this.name = name;
    if (call !== undefined) this.call = call;
  }
}

/**
 * A name that is not on the list, or what a pickle wants to have made by it. The name is never looked up and nothing is
 * made: this only keeps what the pickle says of it.
 */
export class PickleObject {
  /** Module and name, as the pickle says it: `"pathlib.PosixPath"`. */
  readonly name: string;
  /** What the name was called with; absent for the name itself. */
  readonly args: readonly PickleValue[] | undefined;
  /** The attributes that it was given. */
  state: PickleValue | undefined;
  /** What was appended or added to it. */
  readonly items: PickleValue[] = [];
  /** What was put into it by key. */
  readonly entries: Map<PickleValue, PickleValue> = new Map();

  /** What a pickle says of an object that is not made. */
  constructor(name: string, args?: readonly PickleValue[]) {
    this.name = name;
    this.args = args;
  }
}
