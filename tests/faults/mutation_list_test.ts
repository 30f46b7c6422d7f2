import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "bun:test";

type Mutation = readonly [name: string, file: string, text: string, replacement: string, tests: string[]];

const ROOT = new URL("../../", import.meta.url);
const { MUTATIONS } = await import(new URL("./mutation_list.mjs", import.meta.url).href) as {
  MUTATIONS: readonly Mutation[];
};

describe("what npm run faults -- mutations takes away", () => {
  test("is there to be taken away, exactly once each", () => {
    const wrong = MUTATIONS.filter(([, file, text, replacement]) => {
      return readFileSync(new URL(file, ROOT), "utf8").split(text).length !== 2 || text === replacement;
    });
    expect(wrong.map(([name, file]) => `${name}: ${file}`)).toEqual([]);
  });

  test("has names of its own, and tests that are there", () => {
    expect(new Set(MUTATIONS.map(([name]) => name)).size).toBe(MUTATIONS.length);
    const files = new Set(
      MUTATIONS.flatMap(([, , , , tests]) => tests.filter((name) => name.endsWith(".ts"))),
    );
    expect([...files].filter((file) => !existsSync(new URL(file, ROOT)))).toEqual([]);
  });
});
