import { describe, expect, test } from "bun:test";
import { requireOptions } from "../../src/base/options.ts";

describe("requireOptions", () => {
  test("gives back what it was given", () => {
    const options = { epochs: 3 };
    expect(requireOptions("train()", options, "{ epochs: 10 }")).toBe(options);
  });

  test("says what is expected, with an example, and what it found", () => {
    for (const [wrong, found] of [[undefined, "undefined"], [null, "null"], [3, "number"], ["x", "string"]]) {
      const options = wrong as unknown as object;
      expect(() => requireOptions("train()", options, "{ epochs: 10 }")).toThrow(
        `train() takes options like { epochs: 10 }, found ${found}`,
      );
    }
  });
});
