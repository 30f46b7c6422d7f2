// `npm test`: every check that the project has, and a count of all of them as the last line. `npm test -- bun build`
// runs only the named steps. What needs no GPU comes first. Then two lanes run side by side: a step mostly waits for
// one thread, that of the tests or that of the driver that compiles shaders. Each line begins with its step's name.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { bunPath, denoPath, environment, root } from "./runtimes.mjs";
import { setup } from "./setup.mjs";

const tally = { passed: 0, failed: 0, skips: [], failures: [] };

/** How Bun, Deno, and the tools of this folder show a test that failed. */
const FAILURE = /^\(fail\) .*$|^.* \.\.\. FAILED .*$|^FAILED {2}.*$|^.* {2}FAILED$/gm;

/**
 * Runs a command with its output shown, and resolves to its exit status, the signal that ended it, and that output.
 *
 * @param label What each line that is shown begins with.
 */
function run(program, args, label = "") {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: root, env: environment({ NO_COLOR: "1" }) });
    let output = "";
    const show = (line) => {
      output += `${line}\n`;
      console.log(label + line);
    };
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", show);
    child.on("error", (error) => resolve({ status: 1, signal: null, output: String(error) }));
    child.on("close", (status, signal) => resolve({ status: status ?? 1, signal, output }));
  });
}

/** A command that either holds or does not. */
async function check(program, args, label) {
  const { status, output } = await run(program, args, label);
  collectSkips(output);
  if (status === 0) tally.passed++;
  else countFailures(1, [`${args.join(" ")}: ended with ${status}`]);
}

/** Failures, and the lines by which they are named once more at the end. */
function countFailures(count, lines, label = "") {
  tally.failed += count;
  tally.failures.push(...lines.map((line) => label + line));
}

/**
 * A test runner: its own counts are added. A runner that fails without a failed test, or counts nothing, counts as
 * one failure. One that dies of a signal is started again, unless it had counted all its tests as passed and only had
 * to end.
 */
async function suite(program, args, counts, { retriesAfterCrash = 0, summary, label } = {}) {
  const { status, signal, output } = await run(program, args, label);
  const [passed, failed] = counts.map((pattern) => Number([...output.matchAll(pattern)].at(-1)?.[1] ?? 0));
  const isComplete = summary?.test(output) ?? false;
  if (signal !== null && retriesAfterCrash > 0) {
    console.log(
      `\n== the runtime itself died of ${signal}${
        isComplete ? " after all of these tests" : "; running these tests again"
      }`,
    );
    if (!isComplete) {
      return await suite(program, args, counts, { retriesAfterCrash: retriesAfterCrash - 1, summary, label });
    }
  }
  const skipped = collectSkips(output);
  tally.passed += passed;
  if (failed > 0) return countFailures(failed, output.match(FAILURE) ?? [], label);
  const isCrashAtEnd = signal !== null && isComplete && retriesAfterCrash > 0;
  if (isCrashAtEnd || (status === 0 && passed + skipped > 0)) return;
  countFailures(1, [`${args.join(" ")}: ended with ${signal ?? status}, ${passed} passed`], label);
}

/** Keeps what was skipped, and says how much that is. */
function collectSkips(output) {
  const skips = [...output.matchAll(/^SKIP .*$/gm)].map(([line]) => line);
  tally.skips.push(...skips);
  return skips.length;
}

// Deno 2.9 on Mesa's lavapipe corrupts its heap about once in a hundred processes that merely opened an adapter and a
// device, without any code of ours (docs/architecture.md, "Tests"). A failed test is never run again.
const denoCrashes = { retriesAfterCrash: 2, summary: /^ok \| \d+ passed .*\| 0 failed/m };
/** In so many processes, of which one is run again after a crash. */
const DENO_SHARES = 6;
const node = process.execPath;

/** A script of this folder that shows its own counts. */
const counting = (script, ...args) => (label) =>
  suite(node, [join("tools", script), ...args], [/^(\d+) passed/gm, /(\d+) failed$/gm], { label });

async function denoShares(label) {
  for (let share = 1; share <= DENO_SHARES; share++) {
    const entry = join("tests", "helpers", "deno_share.ts");
    await suite(
      denoPath(),
      ["test", "-A", "--no-check", "--quiet", entry, "--", `${share}/${DENO_SHARES}`],
      [/(\d+) passed/g, /(\d+) failed/g],
      { ...denoCrashes, label },
    );
  }
}

const steps = {
  types: (label) =>
    check(node, [join("node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.json"], label),
  format: (label) => check(denoPath(), ["fmt", "--check", "--quiet"], label),
  lint: (label) => check(denoPath(), ["lint", "--quiet"], label),
  build: (label) => check(node, [join("tools", "build.mjs")], label),
  bun: (label) =>
    suite(
      bunPath(),
      ["test", "--timeout", "600000", "tests/"],
      [/^\s*(\d+) pass$/gm, /^\s*(\d+) fail$/gm],
      { label },
    ),
  deno: denoShares,
  publish: (label) => check(denoPath(), ["publish", "--dry-run", "--allow-dirty", "--quiet"], label),
  package: counting("package_test.mjs"),
  examples: counting("examples.mjs", "--quick"),
  browser: counting("browser_test.mjs"),
  page: counting("page_test.mjs"),
};
/** What is begun side by side when all before it has ended. */
const LANES = [["bun"], ["deno", "publish", "package", "examples", "browser", "page"]];

async function runStep(name, label = "") {
  const start = performance.now();
  console.log(`\n${label}== ${name}`);
  await steps[name](label);
  console.log(`${label}== ${name}: ${((performance.now() - start) / 1000).toFixed(1)} s`);
}

async function runSteps(some, isLabelled) {
  for (const name of some) await runStep(name, isLabelled ? `${name} | ` : "");
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in steps));
if (unknown.length > 0) {
  console.error(`test: no step ${unknown.join(", ")}; there are ${Object.keys(steps).join(", ")}`);
  process.exit(2);
}
const names = Object.keys(steps).filter((name) => wanted.length === 0 || wanted.includes(name));
const runs = (...some) => some.some((name) => names.includes(name));
await setup({
  browser: runs("browser", "page"),
  python: runs("bun", "deno"),
  s3: runs("bun", "deno", "package"),
  mpi: runs("bun", "deno"),
});
const lanes = LANES.map((lane) => lane.filter((name) => names.includes(name))).filter(({ length }) =>
  length > 0
);
await runSteps(names.filter((name) => !LANES.flat().includes(name)), false);
await Promise.all(lanes.map((lane) => runSteps(lane, lanes.length > 1)));
for (const line of [...tally.skips, ...tally.failures]) console.log(line);
const skipped = tally.skips.length > 0 ? `, ${tally.skips.length} skipped` : "";
console.log(`${tally.passed} passed, ${tally.failed} failed${skipped}`);
process.exit(tally.failed > 0 || (tally.skips.length > 0 && process.env.REQUIRE_GPU === "1") ? 1 : 0);
