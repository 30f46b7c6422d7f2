import { describe, expect, test } from "bun:test";
import type { JsonValue } from "../../../src/base/canonical_json.ts";
import { decodeState, decodeStateSliced } from "../../../src/container/format/decode_state.ts";
import { encodeState } from "../../../src/container/format/encode_state.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { LARGE_TREES } from "../large_trees.ts";

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

describe("decodeStateSliced", () => {
  for (const [what, treeOf] of LARGE_TREES) {
    test(`pauses more often the larger the tree is, and gives the same: ${what}`, () => {
      const pauses = (count: number): number =>
        [...decodeStateSliced(encodeState(treeOf(count)), () => {})].length;
      expect(pauses(1000)).toBeLessThanOrEqual(10);
      expect(pauses(100_000)).toBeGreaterThanOrEqual(100);
      expect(decodeState(encodeState(treeOf(3000)))).toEqual(treeOf(3000));
    });
  }
});
