/**
 * What a pickle builds here. Lists are arrays and tuples frozen arrays; None is null; an integer is a number where that is
 * exact and a bigint elsewhere. Nothing of it has behaviour of its own.
 */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | PickleDict
  | PickleSet
  | PickleGlobal
  | PickleOpaque;

/** A Python dict, with its items in order. */
export class PickleDict {
  readonly items: Map<PickleValue, PickleValue> = new Map();
}

/** A Python set. */
export class PickleSet {
  readonly items: Set<PickleValue> = new Set();
}

/** Something that a global or a persistent id stood for: a storage, a tensor, a dtype. */
export class PickleOpaque {
  declare protected readonly kind: string;
}

/** A name that a pickle may say: it is on the list, and what it does is written here and not in the pickle. */
export class PickleGlobal {
  readonly name: string;
  /** What calling it gives; absent where it is no function. */
  readonly call?: (args: readonly PickleValue[]) => PickleValue;

  constructor(name: string, call?: (args: readonly PickleValue[]) => PickleValue) {
    this.name = name;
    if (call !== undefined) this.call = call;
  }
}
