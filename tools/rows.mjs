// Lists the rows of docs/behaviours.md and docs/training_rows.md, each with the tests whose names begin with its id, or
// `missing`.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { root } from "./runtimes.mjs";

const ID = "(?:TW|DS|NN|TS|ST|OP|LA|LO|ME|OT|TR|IN|DA|MP|XT)-\\d\\d";

function testFiles(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return testFiles(path);
    return entry.name.endsWith("_test.ts") ? [path] : [];
  });
}

/** Every `[id, title]` of the tables. */
function behaviours() {
  const pages = ["behaviours.md", "training_rows.md"].map((page) =>
    readFileSync(join(root, "docs", page), "utf8")
  );
  const row = new RegExp(`^\\| (${ID}) \\| ([^|]+) \\|`, "gm");
  return pages.flatMap((text) => [...text.matchAll(row)].map(([, id, title]) => [id, title.trim()]));
}

/** Test names by row id. */
function testsById() {
  const found = new Map();
  for (const path of testFiles(join(root, "tests"))) {
    for (
      const [, name] of readFileSync(path, "utf8").matchAll(
        new RegExp(`(?:test|[gG]puTest|it)\\(\\s*["'\`](${ID}[^"'\`]*)`, "g"),
      )
    ) {
      for (const [id] of name.matchAll(new RegExp(`\\b${ID}`, "g"))) {
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
