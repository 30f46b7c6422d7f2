import { describe, expect, test } from "bun:test";
import process from "node:process";
import { thisHost } from "../../src/gpu/host.ts";

describe("thisHost", () => {
  test("knows the runtime that runs it, though each of them says it is Node", () => {
    const expected = process.versions.deno ? "deno" : process.versions.bun ? "bun" : "node";
    expect([thisHost().runtime, thisHost().platform]).toEqual([expected, process.platform]);
  });

  test("imports by a name that is known only when it runs, and rejects for what is not there", async () => {
    expect(await thisHost().importPackage("node:path")).toHaveProperty("join");
    const outcome = await thisHost().importPackage("no-such-package-at-all").then(
      () => "found",
      () => "missing",
    );
    expect(outcome).toBe("missing");
  });
});
