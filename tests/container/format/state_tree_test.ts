import { describe, expect, test } from "bun:test";
import { parseCanonicalJson, toCanonicalJson } from "../../../src/base/canonical_json.ts";
import { decodeState } from "../../../src/container/format/decode_state.ts";
import { encodeState } from "../../../src/container/format/encode_state.ts";
import { type StateValue, TensorRef } from "../../../src/container/format/state_tree.ts";

function roundTrip(value: StateValue): StateValue {
  return decodeState(parseCanonicalJson(toCanonicalJson(encodeState(value)), "it"));
}

function nestedArray(depth: number, innermost: StateValue = 0): StateValue {
  let value = innermost;
  for (let level = 0; level < depth; level++) value = [value];
  return value;
}

describe("a state tree", () => {
  const kept: [string, StateValue][] = [
    ["undefined", undefined],
    ["null", null],
    ["booleans", [true, false]],
    ["numbers", [0, 1, -1.5, 1e300, 5e-324, Number.MAX_SAFE_INTEGER, 2 ** 60, 0.1 + 0.2]],
    ["NaN, the infinities and -0", [NaN, Infinity, -Infinity, -0]],
    ["bigints", [0n, -1n, 2n ** 64n, -(2n ** 200n)]],
    ["strings", ["", "ü", "😀", "\0", '"', "__proto__", "$"]],
    ["dates", [new Date(0), new Date("2026-11-22T01:02:03.456Z"), new Date(-1), new Date(8.64e15)]],
    ["empty things", [[], {}, new Map(), new Set(), ""]],
    [
      "maps with keys of any kind",
      new Map<StateValue, StateValue>([[1, "a"], ["1", "b"], [NaN, undefined], [[1], {}], [null, -0]]),
    ],
    ["sets", new Set<StateValue>([3, 1, "x", undefined, [1], NaN])],
    ["keys with a $", { $: 1, $$: { $: "map" }, $value: 2, "a$": 3, value: 4 }],
    ["keys of Object.prototype", { constructor: 1, toString: 2, hasOwnProperty: 3, valueOf: undefined }],
    ["undefined in objects and arrays", { a: undefined, b: [undefined, null] }],
    ["tensors", { weight: new TensorRef("a.b"), history: new TensorRef("state:x", "Float64Array") }],
    ["depth 200", nestedArray(200)],
    ["a primitive of its own kind at depth 200", nestedArray(200, undefined)],
  ];
  for (const [name, value] of kept) {
    test(`round-trips ${name}`, () => {
      expect(roundTrip(value)).toStrictEqual(value);
    });
  }

  test("round-trips an invalid date", () => {
    const date = roundTrip(new Date(NaN));
    expect(date).toBeInstanceOf(Date);
    expect((date as Date).getTime()).toBeNaN();
  });

  test("keeps the order of keys, entries and items", () => {
    const state = roundTrip({ z: 1, a: new Map([["z", 1], ["a", 2]]), m: new Set(["z", "a"]) }) as {
      a: Map<string, number>;
      m: Set<string>;
    };
    expect(Object.keys(state)).toEqual(["z", "a", "m"]);
    expect([...state.a.keys()]).toEqual(["z", "a"]);
    expect([...state.m]).toEqual(["z", "a"]);
  });

  test("-0 in a map's value is -0, and an object without a prototype comes out as a plain one", () => {
    expect(Object.is((roundTrip(new Map([["a", -0]])) as Map<string, number>).get("a"), -0)).toBe(true);
    const bare: { [key: string]: StateValue } = Object.assign(Object.create(null), { a: 1 });
    expect(roundTrip(bare)).toStrictEqual({ a: 1 });
  });

  test("writes one object twice when it stands in two places", () => {
    const shared = { a: 1 };
    expect(encodeState([shared, shared])).toEqual([{ a: 1 }, { a: 1 }]);
  });

  test("reports each tensor that it refers to", () => {
    const names: string[] = [];
    const json = encodeState({
      a: new TensorRef("x"),
      b: new Map([[new TensorRef("y"), [new TensorRef("z", "Int8Array")]]]),
    });
    decodeState(json, (tensor) => names.push(tensor.name));
    expect(names).toEqual(["x", "y", "z"]);
  });
});
