import { describe, expect, test } from "bun:test";
import type { JsonValue } from "../../../src/base/canonical_json.ts";
import { encodeState, encodeStateSliced } from "../../../src/container/format/encode_state.ts";
import { type StateValue, TensorRef } from "../../../src/container/format/state_tree.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { LARGE_TREES } from "../large_trees.ts";

function nestedArray(depth: number, innermost: StateValue = 0): StateValue {
  let value = innermost;
  for (let level = 0; level < depth; level++) value = [value];
  return value;
}

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
    [
      "a hole in a long array",
      { list: Object.assign(Array(2000).fill(1), { length: 2001 }) },
      /^state\.list.* holes/,
    ],
    ["a hole and a field in its place", Object.assign([1, , 3], { at: 2 }), /with holes/],
    [
      "a field on a long array",
      { list: Object.assign(Array(2000).fill(1), { at: 2 }) },
      /^state\.list.* fields/,
    ],
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

  test("refuses a tensor whose view was changed to an unknown one", async () => {
    const ref = Object.assign(new TensorRef("a"), { view: "Function" });
    const error = await thrownBy(() => encodeState({ list: [ref] }));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/^state\.list\[0\] is a view/);
  });
});

describe("encodeStateSliced", () => {
  for (const [what, treeOf] of LARGE_TREES) {
    test(`pauses more often the larger the tree is, and gives the same: ${what}`, () => {
      const [few, many] = [sliceCount(treeOf(1000)), sliceCount(treeOf(100_000))];
      expect(few).toBeLessThanOrEqual(10);
      expect(many).toBeGreaterThanOrEqual(100);
      expect(JSON.stringify(resultOf(treeOf(3000)))).toBe(JSON.stringify(encodeState(treeOf(3000))));
    });
  }

  test("touches a bounded number of values between two pauses", () => {
    let touched = 0;
    const fields = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`k${index}`, index]));
    const counted = new Proxy(fields, {
      getOwnPropertyDescriptor: (target, key) => (touched++, Reflect.getOwnPropertyDescriptor(target, key)),
    });
    let most = 0;
    for (const _ of encodeStateSliced({ deep: [[counted]] })) {
      most = Math.max(most, touched);
      touched = 0;
    }
    expect(most).toBeGreaterThan(0);
    expect(Math.max(most, touched)).toBeLessThanOrEqual(2000);
  });

  function sliceCount(tree: StateValue): number {
    return [...encodeStateSliced(tree)].length;
  }

  function resultOf(tree: StateValue): JsonValue {
    const work = encodeStateSliced(tree);
    for (let step = work.next();; step = work.next()) if (step.done === true) return step.value;
  }
});
