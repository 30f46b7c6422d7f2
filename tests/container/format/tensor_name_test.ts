import { expect, test } from "bun:test";
import { MAX_NAME_BYTES, problemOfName } from "../../../src/container/format/tensor_name.ts";

test("names of any language are fine, up to 1024 bytes", () => {
  const names = [
    "a",
    "model.0.weight",
    "größe",
    "重み",
    "😀",
    " ",
    "constructor",
    "toString",
    "../up",
    "a".repeat(1024),
  ];
  for (const name of [...names, "é".repeat(512)]) expect(problemOfName(name)).toBeUndefined();
});

test("names that could be mistaken or do harm are refused with a reason", () => {
  const refused: [string, RegExp][] = [
    ["", /empty/],
    ["a".repeat(MAX_NAME_BYTES + 1), /longer than 1024/],
    ["é".repeat(513), /longer than 1024/],
    ["x".repeat(1 << 20), /longer/],
    ["__proto__", /__proto__/],
    ["e\u0301", /NFC/],
    ["\u212b", /NFC/],
    ["\ud800", /surrogate/],
    ["a\udc00b", /surrogate/],
    ["a\0b", /control/],
    ["a\nb", /control/],
    ["\u001b[31m", /control/],
    ["\u0085", /control/],
    ["\u007f", /control/],
    ["\ufeffa", /control/],
  ];
  for (const [name, reason] of refused) expect(problemOfName(name)).toMatch(reason);
});
