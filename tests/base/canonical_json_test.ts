import { describe, expect, test } from "bun:test";
import {
  type JsonValue,
  parseCanonicalJson,
  parseStrictJson,
  toCanonicalJson,
} from "../../src/base/canonical_json.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { cpuMs } from "../helpers/cpu_time.ts";

const sparse: JsonValue[] = [1, 2];
delete sparse[0];

const cyclic: JsonValue[] = [];
cyclic.push(cyclic);

function nested(depth: number): string {
  return "[".repeat(depth) + "]".repeat(depth);
}

describe("toCanonicalJson", () => {
  test("writes plain values as JSON.stringify does", () => {
    const values: JsonValue[] = [
      null,
      true,
      "",
      'quote " backslash \\ newline \n nul \0 é \u2028 😀',
      0,
      -1.5,
      1e21,
      5e-324,
      Number.MAX_VALUE,
      [],
      {},
      [1, [2, { a: [], b: {} }]],
      { b: 1, a: 2, "10": 3, "9": 4, "": 5 },
    ];
    for (const value of values) expect(toCanonicalJson(value)).toBe(JSON.stringify(value));
  });

  const refused: [string, unknown, RegExp][] = [
    ["NaN", { loss: NaN }, /\$\.loss is NaN/],
    ["Infinity", [Infinity], /\$\[0\] is Infinity/],
    ["-Infinity", -Infinity, /-Infinity/],
    ["-0", [-0], /\$\[0\] is -0/],
    ["undefined", { a: undefined }, /\$\.a is undefined/],
    ["a bigint", [1n], /bigint/],
    ["a function", { toJSON: () => 1 }, /\$\.toJSON is function/],
    ["a symbol", [Symbol("x")], /symbol/],
    ["a Date", { at: new Date(0) }, /\$\.at is a Date instance/],
    ["a Map", new Map(), /Map instance/],
    ["a typed array", { a: new Uint8Array(1) }, /Uint8Array instance/],
    ["an instance of a class", new (class Point {})(), /Point instance/],
    ["a hole in an array", sparse, /\$\[0\] is undefined/],
    ["a cycle", cyclic, /deeper than 1000/],
    [
      "an accessor",
      Object.defineProperty({}, "a", { get: () => 1, enumerable: true }),
      /\$\.a is an accessor/,
    ],
    ["a hidden property", Object.defineProperty({}, "a", { value: 1 }), /hidden/],
    ["a symbol key", { [Symbol("x")]: 1 }, /Symbol\(x\)/],
    ["a key __proto__", JSON.parse('{"__proto__":1}'), /__proto__/],
    ["a lone surrogate", ["\ud800"], /lone surrogate/],
    ["a lone surrogate in a key", { "\udc00": 1 }, /lone surrogate/],
  ];
  for (const [name, value, message] of refused) {
    test(`refuses ${name} and names the place`, async () => {
      const error = await thrownBy(() => toCanonicalJson(value as JsonValue));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(message);
    });
  }
});

describe("parseCanonicalJson", () => {
  test("gives back what was written", () => {
    for (const text of ["null", '{"a":[1,-2.5e-7,"x"],"constructor":{"toString":1}}', '"\\u0000"', "1e+21"]) {
      expect(toCanonicalJson(parseCanonicalJson(text, "it"))).toBe(text);
    }
  });

  const refused: [string, string][] = [
    ["an empty text", ""],
    ["a space", '{"a": 1}'],
    ["a line end", "[]\n"],
    ["a byte-order mark", "\ufeff[]"],
    ["two values", "1 2"],
    ["a trailing comma", "[1,]"],
    ["a comment", "[1/*one*/]"],
    ["NaN", "NaN"],
    ["Infinity", "[Infinity]"],
    ["a number that overflows", "1e400"],
    ["-0", "[-0]"],
    ["a number with a needless fraction", "1.0"],
    ["a number with a leading zero", "01"],
    ["an integer that does not fit a double", "9007199254740993"],
    ["1e3 instead of 1000", "1e3"],
    ["a duplicate key", '{"a":1,"a":2}'],
    ["a duplicate key with equal values", '{"a":1,"a":1}'],
    ["a duplicate key in disguise", '{"a":1,"\\u0061":2}'],
    ["a nested duplicate key", '[{"b":{"a":1,"a":2}}]'],
    ["integer keys out of order", '{"2":1,"1":2}'],
    ["a needless escape", '"\\u0061"'],
    ["an escaped slash", '"\\/"'],
    ["an upper-case escape", '"\\u001F"'],
    ["an escaped lone surrogate", '"\\ud800"'],
    ["a key __proto__", '{"__proto__":{"polluted":1}}'],
    ["a nested key __proto__", '[{"a":{"__proto__":1}}]'],
    ["a key __proto__ in disguise", '{"\\u005f_proto__":1}'],
    ["single quotes", "['a']"],
    ["an open string", '["a'],
    ["depth 1001", nested(1001)],
    ["depth 5,000,000", nested(5_000_000)],
    ["an endless opening", "[".repeat(100_000)],
    ["an endless closing", "]".repeat(100_000)],
  ];
  for (const [name, text] of refused) {
    test(`refuses ${name}`, async () => {
      const before = cpuMs();
      const error = await thrownBy(() => parseCanonicalJson(text, "The manifest"));
      expect(cpuMs() - before).toBeLessThan(10_000);
      expect(error.code).toBe("invalid_container");
      expect(error.message).toMatch(/^The manifest /);
      expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    });
  }

  test("accepts depth 1000, and brackets inside strings at any number", () => {
    expect(toCanonicalJson(parseCanonicalJson(nested(1000), "it"))).toBe(nested(1000));
    const text = JSON.stringify(`"\\${"[".repeat(2000)}`);
    expect(toCanonicalJson(parseCanonicalJson(text, "it"))).toBe(text);
  });
});

describe("parseStrictJson", () => {
  test("takes any spacing, escapes and order, and gives what JSON.parse gives", () => {
    const texts = [
      ' { "b" : [ 1 , -2.5e3 , true , null ] ,\r\n\t"a":{} } ',
      '"\\u00e9\\ud83d\\ude00\\"\\\\"',
      '{"a":{"a":{"a":[{"a":1},{"a":2}]}},"":"a","b":"a"}',
      '[":",",","{\\"a\\":1,\\"a\\":2}"]',
    ];
    for (const text of texts) expect(parseStrictJson(text, "it")).toEqual(JSON.parse(text));
    expect(Object.keys(parseStrictJson('{"__proto__":1}', "it") as object)).toEqual(["__proto__"]);
  });

  const refused: [string, string, RegExp][] = [
    ["no JSON", "{", /it is not JSON/],
    ["a key twice", '{"a":1,"b":2,"a":3}', /key "a" twice/],
    ["a key twice, further inside", '[{"x":{"a":1,"a" :1}}]', /key "a" twice/],
    ["a key twice, once escaped", '{"a":1,"\\u0061":1}', /key "a" twice/],
    ["a key twice, with something between", '{"a":{"b":1},"b":[{"a":1}],"a":3}', /key "a" twice/],
    ["a lone surrogate in a text", '["\\ud800"]', /lone surrogate/],
    ["a lone surrogate in a key", '{"\\udc00":1}', /lone surrogate/],
    ["deep nesting", "[".repeat(1001) + "]".repeat(1001), /deeper than 1000/],
  ];
  for (const [name, text, message] of refused) {
    test(`refuses ${name}`, async () => {
      const error = await thrownBy(() => parseStrictJson(text, "it"));
      expect([error.name, error.code]).toEqual(["CairnError", "invalid_file"]);
      expect(error.message).toMatch(message);
    });
  }

  test("takes natural numbers only where that is asked for", async () => {
    const options = { naturalNumbersOnly: true };
    expect(parseStrictJson('[0,7,9007199254740991,"-1.5"]', "it", options)).toEqual([
      0,
      7,
      2 ** 53 - 1,
      "-1.5",
    ]);
    for (const number of ["-1", "-0", "1.0", "1e2", "9007199254740992", "1e400"]) {
      const error = await thrownBy(() => parseStrictJson(`[${number}]`, "it", options));
      expect(error.message).toContain(`number ${number} where`);
    }
  });
});
