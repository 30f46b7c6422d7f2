import { expect, test } from "bun:test";
import { CairnError } from "../../src/base/errors.ts";

test("a CairnError has a code, details and a cause, and details are never missing", () => {
  const cause = new Error("below");
  const error = new CairnError("truncated", "cut", { details: { offset: 7 }, cause });
  expect(error).toBeInstanceOf(Error);
  expect([error.name, error.code, error.message, error.details, error.cause]).toEqual(
    ["CairnError", "truncated", "cut", { offset: 7 }, cause],
  );
  expect(new CairnError("closed", "shut").details).toEqual({});
  expect("cause" in new CairnError("closed", "shut")).toBe(false);
});
