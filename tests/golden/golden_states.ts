import { type StateValue, TensorRef } from "../../src/container/format/state_tree.ts";
import { VIEW_NAMES } from "../../src/container/format/tensor_ref.ts";

/** The classes of typed arrays: the views that the format had when v1_state_tree.cairn was written. */
export const TYPED_ARRAY_NAMES: readonly string[] = VIEW_NAMES.filter((view) => view !== "Array");

/** Every kind of value that a state tree can have, at its edges. `tensor` is the name of one in the same file. */
export function everyValue(tensor: string): StateValue {
  return {
    plain: [null, true, false, "", "text"],
    missing: [undefined, { field: undefined }],
    numbers: [0, 1, -1, 0.1, 1e21, 1e-7, 2 ** 53 - 1, 2 ** 53 + 2, 5e-324, Number.MAX_VALUE],
    odd: [-0, NaN, Infinity, -Infinity],
    bigints: [0n, -1n, 2n ** 64n, -(10n ** 100n)],
    dates: [new Date(0), new Date(-1), new Date(8.64e15), new Date(-8.64e15), new Date(NaN)],
    texts: ['"\\/\b\f\n\r\t\u0000\u001f', "ü重み😀", "\u2028\u2029\ufeff\uffff", "e\u0301 is not \u00e9"],
    maps: [
      new Map(),
      new Map<StateValue, StateValue>([
        ["text", 1],
        [1, "number"],
        [NaN, null],
        [1n, undefined],
        [true, new Map([[null, new Set([0])]])],
        [undefined, []],
        [[1, 2], "arrays are keys too"],
        [{ key: "object" }, {}],
      ]),
    ],
    sets: [new Set(), new Set<StateValue>([3, "1", 1, 1n, NaN, null, undefined, [1], [1], new Set()])],
    keys: { "": 0, $: 1, $$: 2, $key: 3, "10": 4, "2": 5, "01": 6, constructor: 7, toString: 8, "ü 😀": 9 },
    deep: Array.from({ length: 150 }).reduce<StateValue>(
      (inner, _, i) => i % 2 ? [inner] : { inner },
      "bottom",
    ),
    tensor: new TensorRef(tensor),
    views: TYPED_ARRAY_NAMES.map((view) => new TensorRef(`view.${view}`, view)),
  };
}
