/**
 * What a {@link TensorRef} can be given back as: a typed array of that class, or an array of numbers (of a tensor of
 * f64).
 */
export const VIEW_NAMES = [
  "Int8Array",
  "Uint8Array",
  "Uint8ClampedArray",
  "Int16Array",
  "Uint16Array",
  "Int32Array",
  "Uint32Array",
  "Float16Array",
  "Float32Array",
  "Float64Array",
  "BigInt64Array",
  "BigUint64Array",
  "Array",
] as const;

/** Whether a {@link TensorRef} can be given back as what has this name. */
export function isViewName(view: unknown): boolean {
  return (VIEW_NAMES as readonly unknown[]).includes(view);
}

/** A leaf of a state tree whose bytes are a tensor of the same container. */
export class TensorRef {
  /** The tensor's name. */
  readonly name: string;
  /**
   * The class of the array that the leaf was, such as `"Float64Array"`; absent when it was a tensor.
   * Only declared, because a real field would stand there as `undefined` where it is absent.
   */
  declare readonly view?: string;

  /** Throws a `TypeError` unless `view` is the name of a typed array class. */
  constructor(name: string, view?: string) {
    this.name = name;
    if (view === undefined) return;
    if (!isViewName(view)) {
      throw new TypeError(`"${view}" is no typed array; expected one of ${VIEW_NAMES.join(", ")}`);
    }
    this.view = view;
  }
}
