// Removes one step of `mutation_list.mjs` at a time, in a copy of the tree outside of it, and requires that a test
// turns red: what no test misses, no test proves. `npm run faults -- mutations [words]` runs those with a word in
// their name.
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { bunPath, environment, root } from "../../tools/runtimes.mjs";
import { MUTATIONS } from "./mutation_list.mjs";

const words = process.argv.slice(2);
const wanted = MUTATIONS.filter(([name]) => words.length === 0 || words.some((word) => name.includes(word)));
const copy = mkdtempSync(join(tmpdir(), "cairn-mutations-"));
process.on("exit", () => rmSync(copy, { recursive: true, force: true }));
for (const name of ["src", "tests", "mod.ts", "package.json", "tsconfig.json", "tools"]) {
  cpSync(join(root, name), join(copy, name), { recursive: true });
}
symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));

/** Whether the tests pass in the copy. A test that hangs is as red as one that fails. */
function passes(tests) {
  const { status } = spawnSync(bunPath(), ["test", "--bail", "--timeout", "60000", ...tests], {
    cwd: copy,
    env: environment({ NO_COLOR: "1" }),
    stdio: "ignore",
    timeout: 240_000,
  });
  return status === 0;
}

const suites = [...new Map(wanted.map(([, , , , tests]) => [tests.join(" "), tests])).values()];
const broken = suites.filter((tests) => !passes(tests)).map((tests) => tests.join(" "));
if (broken.length > 0) {
  console.log(`Without any change these do not pass: ${broken.join("; ")}`);
  process.exit(1);
}
let survived = 0;
for (const [name, file, text, replacement, tests] of wanted) {
  const path = join(copy, file);
  const original = readFileSync(path, "utf8");
  const isThere = original.split(text).length === 2;
  if (isThere) writeFileSync(path, original.replace(text, () => replacement));
  const isRed = isThere && !passes(tests);
  writeFileSync(path, original);
  if (!isRed) survived++;
  const verdict = isRed ? "red" : isThere ? "SURVIVED" : "NOT FOUND (the text is not there, or twice)";
  console.log(`${name.padEnd(45)} ${file.padEnd(42)} ${verdict}`);
}
console.log(
  JSON.stringify({ faults: "mutations", removed: wanted.length, red: wanted.length - survived, survived }),
);
process.exit(survived > 0 ? 1 : 0);
