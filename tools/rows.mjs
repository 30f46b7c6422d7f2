// Lists the behaviours of docs/behaviours.md, each with the tests whose names begin with its id, or `missing`.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { root } from "./runtimes.mjs";

function testFiles(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return testFiles(path);
    return entry.name.endsWith("_test.ts") ? [path] : [];
  });
}

/** Every `[id, title]` of the table. */
function behaviours() {
  const text = readFileSync(join(root, "docs", "behaviours.md"), "utf8");
  return [...text.matchAll(/^\| ((?:TW|DS|NN|TS|ST)-\d\d) \| ([^|]+) \|/gm)].map((
    [, id, title],
  ) => [id, title.trim()]);
}

/** Test names by row id. */
function testsById() {
  const found = new Map();
  for (const path of testFiles(join(root, "tests"))) {
    for (
      const [, name] of readFileSync(path, "utf8").matchAll(
        /(?:test|gpuTest|it)\(\s*["'`]((?:TW|DS|NN|TS|ST)-\d\d[^"'`]*)/g,
      )
    ) {
      for (const [id] of name.matchAll(/\b(?:TW|DS|NN|TS|ST)-\d\d/g)) {
        found.set(id, [...(found.get(id) ?? []), `${relative(root, path)}: ${name}`]);
      }
    }
  }
  return found;
}

const tests = testsById();
const rows = behaviours();
for (const [id, title] of rows) {
  const covering = tests.get(id);
  console.log(`${id}  ${covering ? "tested " : "missing"}  ${title}`);
  for (const name of covering ?? []) console.log(`         ${name}`);
}
const covered = rows.filter(([id]) => tests.has(id)).length;
console.log(`${covered} of ${rows.length} rows have a test`);
