import { describe, expect, test } from "bun:test";
import * as z from "zod/mini";
import { safeParse } from "../../../src/base/schema/safe_parse.ts";

/** What is said of a value that `schema` does not have. */
function saidOf(schema: z.ZodMiniType<unknown>, value: unknown): string | undefined {
  const { success, error } = safeParse(schema, value);
  return success ? undefined : error.issues[0]?.message;
}

describe("what does not fit is said in words:", () => {
  test("another type", () => {
    expect(saidOf(z.string(), null)).toBe("Invalid input: expected string, received null");
    expect(saidOf(z.string(), [])).toBe("Invalid input: expected string, received array");
    expect(saidOf(z.number(), NaN)).toBe("Invalid input: expected number, received NaN");
    expect(saidOf(z.object({ step: z.int() }), {})).toBe(
      "Invalid input: expected number, received undefined",
    );
  });

  test("a value that is none of those that there are", () => {
    expect(saidOf(z.literal(1), 2)).toBe("Invalid input: expected 1");
    expect(saidOf(z.enum(["auto", "user"]), "nobody")).toBe('Invalid option: expected one of "auto"|"user"');
  });

  test("too small and too big, numbers as lists and strings", () => {
    expect(saidOf(z.int().check(z.minimum(1)), 0)).toBe("Too small: expected number to be >=1");
    expect(saidOf(z.int().check(z.maximum(3)), 4)).toBe("Too big: expected number to be <=3");
    expect(saidOf(z.array(z.int()).check(z.minLength(1)), [])).toBe(
      "Too small: expected array of a length >=1",
    );
    expect(saidOf(z.string().check(z.maxLength(2)), "abc")).toBe("Too big: expected string of a length <=2");
  });

  test("another form, by its pattern", () => {
    expect(saidOf(z.string().check(z.regex(/^[0-9a-f]+$/)), "xyz"))
      .toBe("Invalid string: must match pattern /^[0-9a-f]+$/");
    expect(saidOf(z.iso.datetime(), "yesterday")).toBe("Invalid datetime");
  });

  test("keys that nobody knows, by name", () => {
    const schema = z.strictObject({ a: z.exactOptional(z.int()) });
    expect(saidOf(schema, { b: 1 })).toBe('Unrecognized key: "b"');
    expect(saidOf(schema, { b: 1, c: 2 })).toBe('Unrecognized keys: "b", "c"');
  });

  test("what a check of our own says", () => {
    expect(saidOf(z.string().check(z.refine((text) => text === "a", "is no a")), "b")).toBe("is no a");
    expect(saidOf(z.union([z.string(), z.int()]), true)).toBe("Invalid input");
  });
});
