import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { rootPath } from "./doc_examples.ts";

function read(path: string): string {
  return readFileSync(join(rootPath, path), "utf8");
}

test("every example is one command of npm and of Deno, and says what its result is", () => {
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
  const { tasks } = JSON.parse(read("deno.json")) as { tasks: Record<string, string> };
  // The scripts of a run that is killed, which the demo and the longer examples share.
  const folders = readdirSync(join(rootPath, "examples")).filter((name) =>
    name !== "kills" && name !== "README.md"
  );
  expect(folders.length).toBeGreaterThan(7);
  for (const [name, task] of Object.entries(tasks)) {
    const file = name === "browser" ? "examples/browser/page.ts" : task.split(" ").at(-1) ?? "";
    const isThere = existsSync(join(rootPath, file)) && scripts[`example:${name}`] !== undefined;
    expect([name, isThere, /^\/\/ The result: /m.test(read(file))]).toEqual([name, true, true]);
  }
  // `npm run demo` has digits, and the browser's test the page.
  const elsewhere = ["digits", "browser"];
  const runner = read("tools/examples.mjs");
  const known = folders.filter((name) => elsewhere.includes(name) || runner.includes(name));
  expect(known).toEqual(folders);
});
