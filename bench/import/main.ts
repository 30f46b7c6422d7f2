/**
 * What does importing the package cost? `npm run bench -- import`. It builds the package first.
 *
 * Each round starts every runtime with an empty script and with one that imports an entry of the built package, in
 * turns, in a project that has the package installed, and takes the processor time of the whole process. Files are in
 * the system's cache, and Deno has no network to ask. The last line is JSON. Options: `--rounds=15`.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { environment, runtimeCommand } from "../../tools/runtimes.mjs";
import { median } from "../interleaved.ts";

const MOST_TIMES = 3;
const ENTRIES = ["@cairn-ml/cairn", "@cairn-ml/cairn/container"];
const root = fileURLToPath(new URL("../../", import.meta.url));
const rounds = Number(process.argv.find((argument) => argument.startsWith("--rounds="))?.slice(9) ?? 15);

/** Milliseconds of the processor, of a process from its start to its end. */
function cpuMs(command: readonly string[], cwd: string): number {
  const { exitCode, resourceUsage, stderr } = Bun.spawnSync([...command], {
    cwd,
    env: environment(),
    stdout: "ignore",
    stderr: "pipe",
  });
  if (exitCode !== 0) throw new Error(`${command.join(" ")} ended with ${exitCode}: ${stderr.toString()}`);
  return Number(resourceUsage.cpuTime.total) / 1000;
}

const project = mkdtempSync(join(tmpdir(), "cairn-import-"));
const targets: object[] = [];
try {
  mkdirSync(join(project, "node_modules", "@cairn-ml"), { recursive: true });
  symlinkSync(root, join(project, "node_modules", "@cairn-ml", "cairn"));
  writeFileSync(join(project, "package.json"), '{ "private": true, "type": "module" }\n');
  writeFileSync(join(project, "empty.mjs"), "");
  ENTRIES.forEach((entry, i) =>
    writeFileSync(
      join(project, `entry_${i}.mjs`),
      `import * as entry from "${entry}";\nif (!("CairnError" in entry || "ContainerReader" in entry)) throw 1;\n`,
    )
  );
  const scripts = ["empty.mjs", ...ENTRIES.map((_, i) => `entry_${i}.mjs`)];
  for (const runtime of ["bun", "deno", "node"]) {
    // The runtime that runs this bench is not Node.
    const command = runtime === "node" ? ["node"] : runtimeCommand(runtime);
    const times = scripts.map((): number[] => []);
    for (let round = 0; round <= rounds; round++) {
      scripts.forEach((script, i) => {
        const ms = cpuMs([...command, script], project);
        if (round > 0) times[i]?.push(ms); // the first round fills caches
      });
    }
    const [empty = NaN, ...others] = times.map(median);
    others.forEach((ms, i) => {
      const measured = Math.round(ms / empty * 100) / 100;
      const holds = measured <= MOST_TIMES;
      const name = `${runtime}: ${ENTRIES[i]}`;
      targets.push({ name, measured, unit: "x", target: MOST_TIMES, holds, ms, emptyMs: empty });
      console.log(
        `${name.padEnd(34)} ${ms.toFixed(1).padStart(6)} ms, empty ${empty.toFixed(1).padStart(5)} ms: ` +
          `${measured.toFixed(2)}x, target ${MOST_TIMES}: ${holds ? "holds" : "DOES NOT HOLD"}`,
      );
    });
  }
} finally {
  rmSync(project, { recursive: true, force: true });
}
console.log(JSON.stringify({ bench: "import", rounds, targets }));
