import { readdirSync, readFileSync } from "node:fs";
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
  const runner = read("tools/examples.mjs");
  for (const [name, task] of Object.entries(tasks)) {
    const [, script = "page.ts"] = new RegExp(`^  ${name}: "(.*)",$`, "m").exec(runner) ?? [];
    const isPage = name === "browser";
    // Not `deno run`: a task finds the package of that name in node_modules, and takes its binary for a script.
    const command = isPage ? "node tools/example_page.mjs" : `node tools/examples.mjs ${name} --runtime`;
    expect([task, scripts[`example:${name}`]]).toEqual([
      isPage ? command : `${command} deno`,
      isPage ? command : `${command} bun`,
    ]);
    const text = read(`examples/${name}/${script}`);
    expect([name, /^\/\/ The result: /m.test(text)]).toEqual([name, true]);
  }
  // `npm run demo` has digits and parallel, and the browser's test the page.
  const elsewhere = ["digits", "parallel", "browser"];
  const known = folders.filter((name) => elsewhere.includes(name) || runner.includes(name));
  expect(known).toEqual(folders);
});
