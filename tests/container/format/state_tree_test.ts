import { describe, expect, test } from "bun:test";
import { type JsonValue, parseCanonicalJson, toCanonicalJson } from "../../../src/base/canonical_json.ts";
import {
  decodeState,
  encodeState,
  type StateValue,
  TensorRef,
} from "../../../src/container/format/state_tree.ts";
import { thrownBy } from "../../helpers/thrown.ts";

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

describe("encodeState", () => {
  const cycle: { [key: string]: StateValue } = { list: [] };
  (cycle.list as StateValue[]).push(cycle);
  const selfish = new Map<StateValue, StateValue>();
  selfish.set("me", selfish);
  const holed = [1, 2, 3];
  delete holed[1];

  const refused: [string, unknown, RegExp][] = [
    ["a function", { model: { act: () => 1 } }, /^state\.model\.act is a function/],
    ["a method named toJSON", { toJSON: () => 1 }, /state\.toJSON is a function/],
    ["a symbol", [Symbol("x")], /state\[0\] is a symbol/],
    ["a symbol key", { [Symbol("x")]: 1 }, /Symbol\(x\)/],
    ["a cycle through an object", cycle, /state\.list\[0\] contains itself/],
    ["a cycle through a map", selfish, /state: value 0 contains itself/],
    ["an instance of a class", { at: new URL("http://localhost") }, /state\.at is a URL instance/],
    ["an Error", new Error("x"), /Error instance/],
    ["a RegExp", /x/, /RegExp instance/],
    ["a Promise", Promise.resolve(), /Promise instance/],
    ["a WeakMap", new WeakMap(), /WeakMap instance/],
    ["a boxed number", Object(1), /Number instance/],
    ["a typed array", { a: [new Float32Array(2)] }, /state\.a\[0\] is a Float32Array instance/],
    ["an ArrayBuffer", new ArrayBuffer(1), /ArrayBuffer instance/],
    ["a subclass of Map", new (class Cache extends Map {})(), /Cache instance/],
    ["a subclass of TensorRef", new (class Other extends TensorRef {})("a"), /Other instance/],
    ["an accessor", {
      get loss() {
        return 1;
      },
    }, /state\.loss is an accessor/],
    ["a hidden property", Object.defineProperty({}, "x", { value: 1 }), /state\.x/],
    ["a field on a Date", Object.assign(new Date(0), { zone: 1 }), /fields of its own/],
    ["a field on a Map", Object.assign(new Map(), { size2: 1 }), /fields of its own/],
    ["a field on an array", Object.assign([1], { index: 0 }), /fields of its own/],
    ["an instance of a class of arrays", new (class Vector extends Array {})(1), /array of a class/],
    ["a hole in an array", holed, /with holes/],
    ["a lone surrogate", { text: "\ud800" }, /state\.text holds a lone surrogate/],
    ["a lone surrogate in a key", { "\udfff": 1 }, /a key of state/],
    ["the key __proto__", JSON.parse('{"a":{"__proto__":1}}'), /state\.a has the key __proto__/],
    ["depth 201", nestedArray(201), /deeper than 200/],
    ["a bigint of 5000 digits", 10n ** 5000n, /digits/],
  ];
  for (const [name, value, message] of refused) {
    test(`refuses ${name} and names the place`, async () => {
      const error = await thrownBy(() => encodeState(value as StateValue));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(message);
    });
  }

  test("a proxy that changes its mind is read once", () => {
    let reads = 0;
    const shifty = new Proxy({ a: 1 }, {
      getOwnPropertyDescriptor: () => ({
        value: ++reads,
        enumerable: true,
        configurable: true,
        writable: true,
      }),
    });
    expect(encodeState(shifty)).toEqual({ a: 1 });
  });

  test("TensorRef refuses a view that is no typed array", () => {
    for (const view of ["Object", "array", "float64array", "constructor", ""]) {
      expect(() => new TensorRef("a", view)).toThrow(TypeError);
    }
  });
});

describe("decodeState", () => {
  const refused: [string, JsonValue][] = [
    ["an unknown kind", { $: "function", value: "alert(1)" }],
    ["a kind that is no string", { $: 1 }],
    ["a kind from the prototype", { $: "constructor" }],
    ["a reserved key", { $value: 1 }],
    ["undefined with a value", { $: "undefined", value: 1 }],
    ["a number without a value", { $: "number" }],
    ["an ordinary number as a special one", { $: "number", value: "1" }],
    ["a special number that is no string", { $: "number", value: 5 }],
    ["fields in another order", { value: "NaN", $: "number" }],
    ["a further field", { $: "number", value: "NaN", note: 1 }],
    ["a bigint with a leading zero", { $: "bigint", value: "01" }],
    ["a bigint -0", { $: "bigint", value: "-0" }],
    ["a bigint with a fraction", { $: "bigint", value: "1.5" }],
    ["a hexadecimal bigint", { $: "bigint", value: "0x10" }],
    ["an empty bigint", { $: "bigint", value: "" }],
    ["a bigint as a number", { $: "bigint", value: 1 }],
    ["a bigint of a million digits", { $: "bigint", value: "1".repeat(1_000_000) }],
    ["a date out of range", { $: "date", value: 8.64e15 + 2 }],
    ["a date with a fraction", { $: "date", value: 0.5 }],
    ["a date as text", { $: "date", value: "2026-11-22" }],
    ["a map that is no list", { $: "map", value: { a: 1 } }],
    ["a map with an entry of one", { $: "map", value: [[1]] }],
    ["a map with an entry of three", { $: "map", value: [[1, 2, 3]] }],
    ["a map with a key twice", { $: "map", value: [["a", 1], ["a", 2]] }],
    ["a map with NaN twice", {
      $: "map",
      value: [[{ $: "number", value: "NaN" }, 1], [{ $: "number", value: "NaN" }, 2]],
    }],
    ["a map with the key -0", { $: "map", value: [[{ $: "number", value: "-0" }, 1]] }],
    ["a set that is no list", { $: "set", value: 1 }],
    ["a set with an item twice", { $: "set", value: [1, 1] }],
    ["a set with -0", { $: "set", value: [{ $: "number", value: "-0" }] }],
    ["a tensor without a name", { $: "tensor" }],
    ["a tensor with a number for a name", { $: "tensor", name: 1 }],
    ["a tensor with an unknown view", { $: "tensor", name: "a", view: "Function" }],
    ["a tensor with an empty view", { $: "tensor", name: "a", view: null }],
    ["a tensor with a path", { $: "tensor", name: "a", path: "/etc/passwd" }],
    ["the key __proto__", JSON.parse('{"a":{"__proto__":{"polluted":1}}}') as JsonValue],
    ["depth 201", JSON.parse("[".repeat(201) + "]".repeat(201)) as JsonValue],
    ["maps to depth 201", JSON.parse('{"$":"set","value":['.repeat(201) + "]}".repeat(201)) as JsonValue],
  ];
  for (const [name, json] of refused) {
    test(`refuses ${name}`, async () => {
      const error = await thrownBy(() => decodeState(json));
      expect(error.code).toBe("invalid_container");
      expect(error.message).toMatch(/^The state tree is not valid: state/);
      expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    });
  }
});
