import { expect, test } from "bun:test";
import { definedFields } from "../../src/base/defined_fields.ts";

test("definedFields leaves out what is undefined, and keeps the order and every other value", () => {
  const fields = definedFields<{ a: number; b?: string; c?: null; d?: number; e: boolean }>({
    a: 0,
    b: undefined,
    c: null,
    d: NaN,
    e: false,
  });
  expect(Object.entries(fields)).toEqual([["a", 0], ["c", null], ["d", NaN], ["e", false]]);
});
