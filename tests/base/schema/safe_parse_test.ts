import { describe, expect, test } from "bun:test";
import * as z from "zod/mini";
import { firstProblem, safeParse } from "../../../src/base/schema/safe_parse.ts";

const schema: z.ZodMiniType<{ step: number; parts: { name: string } }> = z.object({
  step: z.int().check(z.nonnegative()),
  parts: z.object({ name: z.string() }),
});

describe("safeParse", () => {
  test("gives what fits", () => {
    const value = { step: 3, parts: { name: "a" } };
    expect(safeParse(schema, value)).toEqual({ success: true, data: value });
  });

  test("says in words what does not fit first, and where", () => {
    const problemOf = (value: unknown) => {
      const { success, error } = safeParse(schema, value);
      if (success) throw new Error("It fits");
      return firstProblem(error);
    };
    expect(problemOf({ step: 3, parts: { name: 7 } })).toEqual({
      path: "parts.name",
      message: "Invalid input: expected string, received number",
    });
    expect(problemOf({ step: -1, parts: {} }).message).toBe("Too small: expected number to be >=0");
    expect(problemOf(7)).toEqual({ message: "Invalid input: expected object, received number" });
  });
});
