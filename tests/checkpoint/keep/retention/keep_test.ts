import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "bun:test";
import * as keep from "../../../../src/checkpoint/keep/retention/keep.ts";

describe("the rules of keep", () => {
  test("are all tested by the contract of rules", () => {
    const folder = new URL("./", import.meta.url);
    const texts = readdirSync(fileURLToPath(folder)).filter((name) => name.endsWith("_test.ts"))
      .map((name) => readFileSync(new URL(name, folder), "utf8")).join("\n");
    const tested = [...texts.matchAll(/^testRetentionRule\((\w+),/gm)].map(([, name = ""]) => name);
    expect(new Set(tested)).toEqual(new Set(Object.keys(keep)));
  });
});
