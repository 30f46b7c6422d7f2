import { describe, expect, test } from "bun:test";
import { type Named, namedOf, partsIn, partsOf, partText } from "../../../src/base/parts/named.ts";

const isNumber = (given: unknown): given is number => typeof given === "number";

describe("TR-01 one thing, or several by name", () => {
  test("TR-01 are parts of a program, and come back as they were given", () => {
    for (const given of [7, { a: 1, b: 2 }] satisfies Named<number>[]) {
      const parts = partsOf("inputs", given, isNumber);
      expect(namedOf("inputs", { ...parts, labels: 0 })).toEqual(given);
      expect(partsIn("inputs", { ...parts, labels: 0, "inputsOf.x": 3 })).toEqual(parts);
    }
    expect(partsOf("inputs", { b: 2, a: 1 }, isNumber)).toEqual({ "inputs.b": 2, "inputs.a": 1 });
  });

  test("TR-01 are said in words", () => {
    expect([partText("labels"), partText("labels.kind"), partText("inputs.a", "singular")]).toEqual([
      "labels",
      'labels "kind"',
      'input "a"',
    ]);
  });

  test("TR-01 have names that stand for one part", () => {
    for (const name of ["", "a.b", "a b", "1st"]) {
      expect(() => partsOf("inputs", { [name]: 1 }, isNumber)).toThrow(
        "its name is of letters, digits and _",
      );
    }
  });
});
